package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/webhook"
)

const firstSecret = "whsec_demonstration_0123456789abcdef"

// demonstrate receives what an embedded cloud delivers: a first secret, a rotation, a repeated delivery, a restart, and a
// forged one.
func demonstrate(ctx context.Context, file string, out io.Writer) error {
	var current http.Handler
	var repeated *delivery
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		handler := current
		if repeated == nil {
			repeated = &delivery{r.Header.Clone(), body}
		}
		mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	events := make(chan webhook.Event, waiting)
	quiet := slog.New(slog.DiscardHandler)
	restart := func(secrets ...string) (*webhook.Receiver, func(), error) {
		receiver, closing, err := newReceiver(secrets, file, func(_ context.Context, event webhook.Event) error {
			events <- event
			return nil
		}, quiet)
		mu.Lock()
		current = receiver
		mu.Unlock()
		return receiver, closing, err
	}
	receiver, closing, err := restart(firstSecret)
	if err != nil {
		return err
	}

	cloud, err := phalatest.Start(phalatest.WithLocalWebhooks())
	if err != nil {
		return err
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		return err
	}
	hook, err := c.Webhooks.Create(ctx, openapi.CreateWebhookRequest{
		URL: server.URL, Events: []string{string(webhook.CVMCreated), string(webhook.CVMStopped)}, Secret: openapi.Ptr(openapi.Secret(firstSecret)),
	})
	if err != nil {
		return err
	}

	fmt.Fprintln(out, "A CVM is deployed")
	if err := deployOne(ctx, c, deploy.WithTeamWallet(cloud.TeamWallet()), deploy.WithVerification(cloud.AttestationPolicy())); err != nil {
		return err
	}
	first, err := next(ctx, events)
	if err != nil {
		return err
	}
	describe(out, first)

	fmt.Fprintln(out, "\nThe secret is rotated: both are accepted until the cloud signs with the new one")
	rotated, err := c.Webhooks.RotateSecret(ctx, string(hook.ID))
	if err != nil {
		return err
	}
	if err := receiver.SetSecrets(string(rotated.Secret), firstSecret); err != nil {
		return err
	}
	if _, err := c.CVMs.Stop(ctx, "web-1"); err != nil {
		return err
	}
	second, err := next(ctx, events)
	if err != nil {
		return err
	}
	describe(out, second)

	fmt.Fprintln(out, "\nThe receiver restarts, and the first event is delivered once more: its answer was lost")
	closing()
	if receiver, closing, err = restart(string(rotated.Secret), firstSecret); err != nil {
		return err
	}
	defer closing()
	fmt.Fprintln(out, repeated.post(ctx, receiver))
	if len(events) > 0 {
		return fmt.Errorf("event %s was handled twice", first.ID)
	}

	fmt.Fprintln(out, "\nSomebody posts an event that the cloud did not sign")
	body := []byte(`{"id":"evt_forged","event":"cvm.deleted","version":"1"}`)
	forged := &delivery{webhook.Sign("whsec_another_secret_0123456789abcdef", body, time.Now()), body}
	fmt.Fprintln(out, forged.post(ctx, receiver))
	return nil
}

// delivery is a request as the cloud sends it.
type delivery struct {
	header http.Header
	body   []byte
}

// post returns the status of the answer.
func (d *delivery) post(ctx context.Context, handler http.Handler) string {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(d.body))
	r.Header = d.header.Clone()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return fmt.Sprintf("%d %s, %q", w.Code, http.StatusText(w.Code), strings.TrimSpace(w.Body.String()))
}

func deployOne(ctx context.Context, c *client.Client, opts ...deploy.Option) error {
	doc, err := compose.New("services:\n  web:\n    image: nginx:1.29\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return err
	}
	_, err = deploy.Run(ctx, c, deploy.Spec{Name: "web-1", Compose: doc}, opts...)
	return err
}

// next returns the next event that was handled.
func next(ctx context.Context, events <-chan webhook.Event) (webhook.Event, error) {
	select {
	case event := <-events:
		return event, nil
	case <-time.After(30 * time.Second):
		return webhook.Event{}, fmt.Errorf("no event within 30 seconds")
	case <-ctx.Done():
		return webhook.Event{}, ctx.Err()
	}
}
