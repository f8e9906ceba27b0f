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
	doc, err := compose.New("services: {web: {image: nginx, environment: [\"TOKEN=${TOKEN}\"]}}\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := deploy.Run(context.Background(), c, deploy.Spec{
		Name:    "web-1",
		Compose: doc,
		Env:     []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}},
	}, deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithTeamWallet(cloud.TeamWallet()), deploy.WithVerification(cloud.AttestationPolicy()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.CVMs[0].Name, app.Last.CVM.Status, app.Secrets)
	for _, check := range app.Last.Comparisons {
		if check.Outcome != deploy.Noticed {
			fmt.Println(check.Name, check.Outcome)
		}
	}
	// Output:
	// web-1 running [TOKEN]
	// compose hash confirmed
	// app id confirmed
	// operating system confirmed
	// env key confirmed
	// kms root confirmed
	// operating system confirmed
	// attestation confirmed
}
