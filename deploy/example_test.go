package deploy_test

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func ExampleRun() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client() // client.New() for the real one
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := deploy.Run(context.Background(), c, deploy.Spec{
		Name:    "web-1",
		Compose: app,
		Env:     []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}},
	}, deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithVerification(cloud.AttestationPolicy()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.CVM.Name, result.CVM.Status)
	for _, check := range result.Checks {
		fmt.Println(check.Name, check.Outcome)
	}
	// Output:
	// web-1 running
	// compose hash passed
	// app id not possible
	// env key passed
	// kms root passed
	// attestation passed
}
