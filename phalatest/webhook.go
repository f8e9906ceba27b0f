package phalatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/phala-go/phala/phalatest/internal/delivery"
	"github.com/phala-go/phala/phalatest/internal/inmemory"
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

// WithWebhookReceiver sets a handler that receives all webhooks, whatever their URL, without a network. Within
// testing/synctest it needs no real time.
func WithWebhookReceiver(h http.Handler) Option {
	return func(s *Server) error {
		if h == nil {
			return errors.New("webhook receiver: nil")
		}
		s.webhooks.sender.Through(inmemory.Transport{Handler: h, Running: &s.webhooks.work})
		return nil
	}
}

// WithWebhookTransport sets the transport of webhooks, such as one that trusts the certificate of a test server.
func WithWebhookTransport(t http.RoundTripper) Option {
	return func(s *Server) error {
		if t == nil {
			return errors.New("webhook transport: nil")
		}
		s.webhooks.sender.Through(t)
		return nil
	}
}

// WithLocalWebhooks accepts URLs that the cloud refuses: with http, and those of this machine and of private
// networks, such as an httptest.Server has.
func WithLocalWebhooks() Option {
	return func(s *Server) error {
		s.webhooks.sender.Local = true
		return nil
	}
}

// WithWebhookPauses sets the pauses between the attempts to deliver an event, of which there is one more. The
// cloud's, and the default, are 1 minute, 10 minutes and 1 hour.
func WithWebhookPauses(pauses ...time.Duration) Option {
	return func(s *Server) error {
		for _, d := range pauses {
			if d < 0 {
				return fmt.Errorf("webhook pause %s: want at least 0", d)
			}
		}
		s.webhooks.sender.Pauses = slices.Clone(pauses)
		return nil
	}
}

// WithWebhookSecretsRefused sets the status of the calls that reveal and rotate a webhook's secret: 403, as for an
// account without a second factor, or 428, as without a recent check of it.
func WithWebhookSecretsRefused(status int) Option {
	return func(s *Server) error {
		if status != http.StatusForbidden && status != http.StatusPreconditionRequired {
			return fmt.Errorf("status %d of refused webhook secrets: want 403 or 428", status)
		}
		s.webhooks.refused = status
		return nil
	}
}

// happened sends an event of a CVM to the webhooks. The server is locked; the event is sent in another goroutine.
func (s *Server) happened(vm *cvm, event string) {
	var data any = webhook.Lifecycle{
		CVMID: dashed(vm.uuid), CVMName: vm.name, AppID: vm.app.id.String(), Status: string(vm.status), Error: vm.failure,
	}
	switch webhook.Type(event) {
	case webhook.CVMUpdatePendingApproval:
		data = vm.update.describe()
	case webhook.CVMReplicaPendingApproval:
		data = vm.replica.describe()
	}
	if err := s.webhooks.emit(vm.tenant(), webhook.Type(event), data); err != nil {
		s.wrong("event %s: %v", event, err)
	}
}

// describe is a prepared change as its event has it.
func (p *prepared) describe() webhook.PendingApproval {
	page, post := p.urls()
	var contract webhook.KMSContract
	if chain := p.vm.app.kms.chain; chain != nil {
		contract = webhook.KMSContract{ChainID: chain.ChainID(), Address: chain.KMSContract().Hex()}
	}
	return webhook.PendingApproval{
		CVMID: dashed(p.vm.uuid), CVMName: p.vm.name, ComposeHash: "0x" + p.hash.String(), AppID: "0x" + p.vm.app.id.String(),
		DeviceID: "0x" + p.node.device.String(), KMS: contract,
		OnChainAction: webhook.OnChainAction{
			To: "0x" + p.vm.app.id.String(), Method: "addComposeHash(bytes32)", Calldata: p.hash.String(),
		},
		CommitToken: webhook.Secret(p.token), CommitURL: webhook.Secret(page), APICommitURL: webhook.Secret(post),
		ExpiresAt: p.expires(), InitiatedBy: webhook.Initiator{UserID: p.vm.tenant().userID(), Username: p.vm.tenant().userName()},
	}
}

// wake records that an operation has begun.
func (w *webhooks) wake() {
	select {
	case w.began <- struct{}{}:
	default:
	}
}

// drive advances the CVMs by themselves, once there is a webhook: whoever waits for an event does not poll. With
// manual ticks each of them does it.
func (s *Server) drive() {
	w := s.webhooks
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.driven || s.clock.tick == 0 {
		return
	}
	w.driven = true
	w.run(func() {
		for w.ctx.Err() == nil {
			if s.busyAfterLiving() {
				s.clock.wait(w.ctx, s.clock.tick)
				continue
			}
			select {
			case <-w.began:
			case <-w.ctx.Done():
			}
		}
	})
}

// busyAfterLiving advances the CVMs and reports whether operations are left.
func (s *Server) busyAfterLiving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live()
	return slices.ContainsFunc(s.busy, func(vm *cvm) bool { return vm.op != nil })
}

// posted is an event on its way to a webhook, or at its end.
type posted struct {
	delivery.Outcome

	number   int64
	event    webhook.Event
	original string // id of the event that this one repeats
	asked    bool   // by a call, so that a pause of the webhook does not count
	created  time.Time
}

// start sets an event on its way. The lock is held.
func (w *webhooks) start(h *hook, d posted) {
	w.number++
	d.number, d.created = w.number, time.Now().UTC()
	w.run(func() { w.deliver(h, &d) })
}

// deliver posts an event, and keeps a row of it unless the webhook was gone or paused before the first attempt.
func (w *webhooks) deliver(h *hook, d *posted) {
	d.Outcome = w.sender.Deliver(w.ctx, d.event, func() (delivery.Target, bool) { return w.aim(h, d) })
	if d.Attempts == 0 || w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(h.deliveries) >= maxHistory {
		h.deliveries = slices.Delete(h.deliveries, 0, len(h.deliveries)-maxHistory+1)
	}
	h.deliveries = append(h.deliveries, d)
}

// aim is the webhook as it is now.
func (w *webhooks) aim(h *hook, d *posted) (delivery.Target, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.hooks, h) || !h.enabled && !d.asked {
		return delivery.Target{}, false
	}
	return delivery.Target{URL: h.url, Secret: h.secret}, true
}
