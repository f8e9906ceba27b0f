package verify_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

func ExampleApp() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	trust := deploy.WithVerification(cloud.AttestationPolicy())
	r, err := deploy.Run(context.Background(), c, deploy.Spec{Name: "web-1", Compose: app}, trust)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := deploy.Replicate(context.Background(), c, r, deploy.ReplicaSpec{}, trust); err != nil {
		fmt.Println(err)
		return
	}

	policy := cloud.AttestationPolicy() // for real hardware: what you know of it; Intel's root is built in
	policy.ComposeHashes = []compose.Hash{r.ComposeHash}
	result, err := verify.App(context.Background(), c, r.ID, policy)
	for _, i := range result.Instances {
		fmt.Println(i.Name, i.Status, i.Report.Verified)
	}
	fmt.Println(err)

	for round, err := range verify.Repeat(context.Background(), c, r.ID, policy) {
		if err != nil {
			fmt.Println("ended:", err)
			break
		}
		fmt.Println(len(round.Result.Instances), len(round.Drifts), round.Err)
		break
	}
	// Output:
	// web-1 running true
	// web-1 running true
	// <nil>
	// 2 0 <nil>
}

// The app that the client talks to is the one that the hardware proves, whatever its address is.
func ExampleClient() {
	hardware, err := quotetest.New() // in the place of Intel
	if err != nil {
		fmt.Println(err)
		return
	}
	spec := quotetest.Spec{AppID: kms.AppID{1}, AppCompose: `{"name":"shop"}`}
	certificate, _, err := hardware.Certificate(spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "from the app")
	}))
	app.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	app.StartTLS()
	defer app.Close()

	policy := hardware.Policy()
	policy.ComposeHashes = []compose.Hash{compose.Sum([]byte(spec.AppCompose))}
	policy.Waive = []attest.CheckName{attest.CheckMeasurements} // for a real app: Images
	c, err := verify.Client(spec.AppID, policy)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseIdleConnections()
	resp, err := c.Get(app.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output: from the app <nil>
}
