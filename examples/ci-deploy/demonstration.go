package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

// demonstrate runs three jobs on an embedded cloud, as a CI does: a first deployment, a commit that changes the file, and one
// that does not.
func demonstrate(ctx context.Context, out, log io.Writer) int {
	dir, err := os.MkdirTemp("", "ci-deploy-")
	if err != nil {
		return write(out, &answer{}, err)
	}
	defer os.RemoveAll(dir)
	cloud, err := phalatest.Start()
	if err != nil {
		return write(out, &answer{}, err)
	}
	defer cloud.Close()
	env := map[string]string{
		"DEPLOY_NAME":       "shop-1",
		"DEPLOY_COMPOSE":    filepath.Join(dir, "docker-compose.yml"),
		"DEPLOY_PRE_LAUNCH": filepath.Join(dir, "pre-launch.sh"),
		"DEPLOY_ANCHOR":     filepath.Join(dir, "shop-1.app.json"),
		"DEPLOY_SECRETS":    "TOKEN",
		"TOKEN":             "s3cret",
	}
	if err := os.WriteFile(env["DEPLOY_PRE_LAUNCH"], []byte("#!/bin/sh\n"), 0o600); err != nil {
		return write(out, &answer{}, err)
	}
	for _, image := range []string{"nginx:1.29", "nginx:1.30", "nginx:1.30"} {
		text := fmt.Sprintf("services:\n  web:\n    image: %s\n    ports: [\"80:80\"]\n    environment: [\"TOKEN=${TOKEN}\"]\n", image)
		if err := os.WriteFile(env["DEPLOY_COMPOSE"], []byte(text), 0o600); err != nil {
			return write(out, &answer{}, err)
		}
		result, err := onEmbedded(ctx, cloud, env, log)
		if code := write(out, result, err); code != 0 {
			return code
		}
	}
	return 0
}

// onEmbedded is one job on an embedded cloud.
func onEmbedded(ctx context.Context, cloud *phalatest.Server, env map[string]string, log io.Writer) (*answer, error) {
	j, err := newJob(func(name string) string { return env[name] }, log)
	if err != nil {
		return &answer{Name: env["DEPLOY_NAME"]}, err
	}
	if j.client, err = cloud.Client(); err != nil {
		return &answer{Name: j.spec.Name}, err
	}
	j.policy = cloud.AttestationPolicy()
	j.appID = deploy.WithTeamWallet(cloud.TeamWallet())
	j.opts = []deploy.Option{deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithVerification(j.policy)}
	return j.run(ctx)
}
