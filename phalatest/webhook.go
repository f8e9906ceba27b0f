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
func WithLocalWebhooks() Option { return setting(func(s *Server) { s.webhooks.sender.Local = true }) }

// WithWebhookPauses sets the pauses between the attempts to deliver an event; there is one attempt more than pauses.
// The default, as in the cloud, is 1 minute, 10 minutes and 1 hour.
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

// webhooks are the webhooks of all workspaces and their deliveries. Nothing is sent while the server is locked.
type webhooks struct {
	sender  *delivery.Sender
	refused int // status of reveal and rotate; 0 allows both

	ctx  context.Context // ends with the server
	end  context.CancelFunc
	work sync.WaitGroup

	// The lock of the server guards what follows.
	hooks     []*hook
	number    int64 // of the last delivery
	advancing bool  // in a goroutine
	closed    bool
	began     chan struct{} // an operation has begun
}

type hook struct {
	id, url, secret, name string
	workspace             *Workspace
	events                []string
	enabled               bool
	created, updated      time.Time
	deliveries            []*eventDelivery // that have ended, oldest first
}

// eventDelivery is the delivery of an event to a webhook.
type eventDelivery struct {
	delivery.Outcome

	number    int64
	event     webhook.Event
	original  string // id of the event that this one repeats
	requested bool   // by a call, so that it is sent to a disabled webhook too
	created   time.Time
}

func newWebhooks() *webhooks {
	w := &webhooks{sender: delivery.New(), began: make(chan struct{}, 1)}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// closeWebhooks cancels running deliveries and waits for them.
func (s *Server) closeWebhooks() {
	s.mu.Lock()
	s.webhooks.closed = true
	s.mu.Unlock()
	s.webhooks.end()
	s.webhooks.work.Wait()
}

// run starts a goroutine that ends when the context does.
func (w *webhooks) run(fn func()) {
	if !w.closed {
		w.work.Go(fn)
	}
}

// Emit sends an event to the webhooks of the first workspace with its type, as the cloud itself does for its CVMs: an
// approval that an update waits for, or a future type. data is encoded as JSON.
func (s *Server) Emit(event webhook.Type, data any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.emit(s.own(), event, data); err != nil {
		return fmt.Errorf("phalatest: event %s: %w", event, err)
	}
	return nil
}

func (s *Server) emit(to *Workspace, typ webhook.Type, data any) error {
	event, err := to.newEvent(typ, data)
	if err != nil {
		return err
	}
	for _, h := range s.webhooks.hooks {
		if h.workspace == to && h.enabled && slices.Contains(h.events, string(typ)) {
			s.deliver(h, eventDelivery{event: event})
		}
	}
	return nil
}

// emitCVM sends an event of a CVM.
func (s *Server) emitCVM(vm *cvm, event string) {
	var data any = webhook.Lifecycle{
		CVMID: dashed(vm.uuid), CVMName: vm.name, AppID: vm.app.id.String(), Status: string(vm.status), Error: vm.failure,
	}
	switch webhook.Type(event) {
	case webhook.CVMUpdatePendingApproval:
		data = vm.update.pendingApproval()
	case webhook.CVMReplicaPendingApproval:
		data = vm.replica.pendingApproval()
	}
	if err := s.emit(vm.app.workspace, webhook.Type(event), data); err != nil {
		s.failTest("event %s: %v", event, err)
	}
}

func (p *prepared) pendingApproval() webhook.PendingApproval {
	page, post := p.urls()
	app := p.vm.app
	var contract webhook.KMSContract
	if chain := app.kms.chain; chain != nil {
		contract = webhook.KMSContract{ChainID: chain.ChainID(), Address: chain.KMSContract().Hex()}
	}
	return webhook.PendingApproval{
		CVMID: dashed(p.vm.uuid), CVMName: p.vm.name, ComposeHash: "0x" + p.hash.String(), AppID: "0x" + app.id.String(),
		DeviceID: "0x" + p.node.device.String(), KMS: contract,
		OnChainAction: webhook.OnChainAction{To: "0x" + app.id.String(), Method: "addComposeHash(bytes32)", Calldata: p.hash.String()},
		CommitToken:   webhook.Secret(p.token), CommitURL: webhook.Secret(page), APICommitURL: webhook.Secret(post),
		ExpiresAt: p.expires(), InitiatedBy: webhook.Initiator{UserID: app.workspace.userID(), Username: app.workspace.userName()},
	}
}

// newEvent returns an event of the workspace at the present time.
func (w *Workspace) newEvent(typ webhook.Type, data any) (webhook.Event, error) {
	raw, err := webhook.Marshal(data)
	return webhook.Event{
		ID: newEventID(), Type: typ, Version: "1", CreatedAt: time.Now().UTC(),
		Workspace: webhook.Workspace{ID: w.slug, Name: w.name}, Data: raw,
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

// deliver posts an event in another goroutine. It records the delivery unless the webhook was deleted or disabled
// before the first attempt.
func (s *Server) deliver(h *hook, d eventDelivery) {
	w := s.webhooks
	w.number++
	d.number, d.created = w.number, time.Now().UTC()
	w.run(func() {
		d.Outcome = w.sender.Deliver(w.ctx, d.event, func() (delivery.Target, bool) { return s.target(h, &d) })
		if d.Attempts == 0 || w.ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		h.deliveries = appendBounded(h.deliveries, &d)
	})
}

// target returns the present URL and secret of a webhook. It reports false if the event is not to be sent any more.
func (s *Server) target(h *hook, d *eventDelivery) (delivery.Target, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.webhooks.hooks, h) || !h.enabled && !d.requested {
		return delivery.Target{}, false
	}
	return delivery.Target{URL: h.url, Secret: h.secret}, true
}

// wake records that an operation has begun.
func (w *webhooks) wake() {
	select {
	case w.began <- struct{}{}:
	default:
	}
}

// advanceInBackground advances the CVMs without a call, because a test that waits for an event does not poll. With
// manual ticks [Server.Tick] does it.
func (s *Server) advanceInBackground() {
	w := s.webhooks
	if w.advancing || s.clock.tick == 0 {
		return
	}
	w.advancing = true
	w.run(func() {
		for w.ctx.Err() == nil {
			if s.advanceAll() {
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

// advanceAll advances the CVMs and reports whether operations are left.
func (s *Server) advanceAll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	return slices.ContainsFunc(s.busy, func(vm *cvm) bool { return vm.op != nil })
}
