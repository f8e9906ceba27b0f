package phalatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/phala-go/phala/phalatest/internal/delivery"
	"github.com/phala-go/phala/webhook"
)

// webhooks are the webhooks of the workspace, and what is under way to them. The lock is taken after that of
// the server, never before it, and nothing is sent while it is held.
type webhooks struct {
	sender  *delivery.Sender
	refused int // status of reveal and rotate; 0 allows both

	ctx  context.Context // ends with the server
	end  context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex
	hooks  []*hook
	number int64 // of the last delivery
	driven bool
	closed bool
	began  chan struct{} // an operation has begun
}

// hook is one webhook.
type hook struct {
	id, url, secret, name string
	tenant                *Tenant
	events                []string
	enabled               bool
	created, updated      time.Time
	deliveries            []*posted // that have ended, oldest first
}

func newWebhooks() *webhooks {
	w := &webhooks{sender: delivery.New(), began: make(chan struct{}, 1)}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// close cancels running deliveries and waits for them.
func (w *webhooks) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.end()
	w.work.Wait()
}

// run starts a goroutine that ends when the context does. The lock is held.
func (w *webhooks) run(fn func()) {
	if !w.closed {
		w.work.Go(fn)
	}
}

// Emit sends an event to the webhooks of the first workspace with its type, as the cloud itself does when something
// happens to a CVM: an approval that an update waits for, or a future type. data is encoded as JSON.
func (s *Server) Emit(event webhook.Type, data any) error {
	if err := s.webhooks.emit(s.own(), event, data); err != nil {
		return fmt.Errorf("phalatest: event %s: %w", event, err)
	}
	return nil
}

func (w *webhooks) emit(t *Tenant, typ webhook.Type, data any) error {
	event, err := t.newEvent(typ, data)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hooks {
		if h.tenant == t && h.enabled && slices.Contains(h.events, string(typ)) {
			w.start(h, posted{event: event})
		}
	}
	return nil
}

// newEvent is an event of the workspace that happens now.
func (t *Tenant) newEvent(typ webhook.Type, data any) (webhook.Event, error) {
	raw, err := webhook.Marshal(data)
	return webhook.Event{
		ID: newEventID(), Type: typ, Version: "1", CreatedAt: time.Now().UTC(),
		Workspace: webhook.Workspace{ID: t.slug, Name: t.name}, Data: raw,
	}, err
}

func newEventID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "evt_" + hex.EncodeToString(b[:])
}

func newWebhookSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return "whsec_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// find returns the webhook of an id in a workspace. The lock is held.
func (w *webhooks) find(t *Tenant, id string) *hook {
	for _, h := range w.hooks {
		if h.tenant == t && h.id == id {
			return h
		}
	}
	return nil
}
