package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/phala-go/phala/webhook"
)

func ExampleHandler() {
	secret := "whsec_from_the_environment"
	handler, err := webhook.Handler(secret, func(_ context.Context, event webhook.Event) error {
		switch event.Type {
		case webhook.CVMCreated, webhook.CVMStarted, webhook.CVMStopped:
			cvm, err := event.Lifecycle()
			if err != nil {
				return err
			}
			fmt.Println(cvm.CVMName, "is", cvm.Status)
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// What the cloud does:
	body := []byte(`{"id":"evt_0123456789abcdef","event":"cvm.created","data":{"cvm_name":"web","status":"running"}}`)
	for range 2 {
		r := httptest.NewRequest(http.MethodPost, "/phala", bytes.NewReader(body))
		r.Header = webhook.Sign(secret, body, time.Now())
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// web is running
	// 204
	// 200
}

func ExampleVerify() {
	body := []byte(`{"id":"evt_0123456789abcdef","event":"cvm.deleted","workspace":{"id":"acme"},"data":{}}`)
	header := webhook.Sign("whsec_old", body, time.Now())
	event, err := webhook.Verify("whsec_new", header, body, webhook.WithSecrets("whsec_old"))
	fmt.Println(event, err)
	_, err = webhook.Verify("whsec_new", header, body)
	fmt.Println(err)
	// Output:
	// cvm.deleted evt_0123456789abcdef of workspace acme <nil>
	// webhook: signature: does not match
}

func ExampleEvent_PendingApproval() {
	event := webhook.Event{
		ID: "evt_0123456789abcdef", Type: webhook.CVMUpdatePendingApproval,
		Data: []byte(`{"cvm_name":"web","compose_hash":"0x22","commit_token":"0f0e0d0c-0b0a-4908-8706-050403020100"}`),
	}
	p, err := event.PendingApproval()
	fmt.Println(p.CVMName, p.ComposeHash, p.CommitToken, err)
	// Output: web 0x22 [redacted] <nil>
}
