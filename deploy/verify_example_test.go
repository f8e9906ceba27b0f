package deploy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// A host that boots another app-compose than the one it was given is found out by what the hardware signs.
func ExampleVerificationError() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	cloud.BootInstead("web-1", func(s *quotetest.Spec) { s.AppCompose += " " })
	c, err := cloud.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	doc, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = deploy.Run(context.Background(), c, deploy.Spec{Name: "web-1", Compose: doc}, deploy.WithVerification(cloud.AttestationPolicy()))
	var unverified *deploy.VerificationError
	if errors.As(err, &unverified) {
		fmt.Println(errors.Is(err, attest.ErrComposeHash))
		fmt.Println(unverified.Report.Check(attest.CheckComposeHash).Outcome)
		fmt.Println(unverified.Report.Check(attest.CheckSignature).Outcome)
	}
	// Output:
	// true
	// failed
	// passed
}
