package main

import (
	"context"
	"fmt"
	"log"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

const dockerCompose = `
services:
  web:
    image: nginx:1.29
    ports: ["80:80"]
    environment: ["TOKEN=${TOKEN}"]
`

func main() {
	ctx := context.Background()
	cloud, err := phalatest.Start() // a Phala Cloud in this process; the real one is client.New()
	check(err)
	defer cloud.Close()
	c, err := cloud.Client()
	check(err)

	doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	check(err)
	app, err := deploy.Run(ctx, c, deploy.Spec{
		Name:    "web-1",
		Compose: doc,
		Env:     []compose.EnvVar{{Key: "TOKEN", Value: "s3cret"}}, // encrypted here
	},
		deploy.WithKMSRoot(cloud.KMSRoot()), // what you know from a place that the cloud does not control
		deploy.WithTeamWallet(cloud.TeamWallet()),
		deploy.WithVerification(cloud.AttestationPolicy()),
	)
	check(err) // also if the hardware does not prove that exactly this document runs

	fmt.Println(app.Last.Report) // each check
	fmt.Println(app.ID, app.ComposeHash, app.Last.URLs)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
