// Command minimal is the program of the README: a docker-compose file with a secret, deployed on an embedded Phala
// Cloud.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "✗", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cloud, err := phalatest.Start()
	if err != nil {
		return err
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "phala-minimal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("TOKEN=s3cret\n"), 0o600); err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	return deployWeb(ctx, c, "services:\n  web:\n    image: nginx\n    environment:\n      - TOKEN=${TOKEN}\n", "#!/bin/sh\n",
		deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithTeamWallet(cloud.TeamWallet()), deploy.WithVerification(cloud.AttestationPolicy()))
}
