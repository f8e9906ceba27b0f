package phalatest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/phalatest/internal/inmemory"
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
