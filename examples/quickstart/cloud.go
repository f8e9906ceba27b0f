package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

// onEmbedded deploys to a cloud in this process.
func (d *deployment) onEmbedded(ctx context.Context) error {
	d.section("Embedded Phala Cloud (give -cloud to use the real one)")
	if d.dir == "" {
		dir, err := os.MkdirTemp("", "phala-quickstart-")
		if err != nil {
			return err
		}
		d.dir = dir
	}
	cloud, err := phalatest.Start(phalatest.WithTick(40 * time.Millisecond))
	if err != nil {
		return err
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		return err
	}
	d.line("listening on", cloud.URL())
	app, err := d.run(ctx, c, deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithVerification(cloud.AttestationPolicy()), deploy.WithTeamWallet(cloud.TeamWallet()))
	if err != nil {
		return err
	}
	env, err := cloud.Env(app.CVMs[0].ID)
	if err != nil {
		return err
	}
	names := make([]string, len(env))
	for i, v := range env {
		names[i] = v.Key
	}
	d.line("guest decrypted", strings.Join(names, ", "))
	return nil
}

// onCloud deploys to Phala Cloud, or deletes what an earlier run deployed.
func (d *deployment) onCloud(ctx context.Context, opts []deploy.Option) error {
	if os.Getenv("PHALA_CLOUD_API_KEY") == "" {
		return errors.New("PHALA_CLOUD_API_KEY is not set")
	}
	d.section("Phala Cloud")
	c, err := client.New()
	if err != nil {
		return err
	}
	if d.remove {
		return d.delete(ctx, c)
	}
	if _, err := os.Stat(d.anchorFile()); err == nil {
		return fmt.Errorf("%s exists, so the app runs already: delete it with -cloud -delete, or give another name with -name", d.anchorFile())
	}
	price, err := priceOf(ctx, c, d.size)
	if err != nil {
		return err
	}
	d.line("price", price)
	d.line("app id", "the one that the cloud chooses; nothing here can show that it belongs to your workspace")
	trust := deploy.TrustKMSRootFromCloud()
	if root := os.Getenv("PHALA_KMS_ROOT"); root != "" {
		key, err := kms.ParseRootKey(root)
		if err != nil {
			return fmt.Errorf("PHALA_KMS_ROOT: %w", err)
		}
		trust = deploy.WithKMSRoot(key)
	} else {
		d.line("KMS root", "PHALA_KMS_ROOT is not set, so the root key that the cloud reports is pinned")
	}
	_, err = d.run(ctx, c, slices.Concat([]deploy.Option{deploy.TrustAppIDFromCloud(), trust}, opts)...)
	return err
}

// priceOf is what an instance type costs.
func priceOf(ctx context.Context, c *client.Client, id string) (string, error) {
	families, err := c.InstanceTypes.List(ctx)
	if err != nil {
		return "", err
	}
	for _, family := range families.Result {
		for _, size := range family.Items {
			if string(size.ID) == id {
				return fmt.Sprintf("%s: %s USD per hour for %d vCPU and %d MB, until it is deleted", id, size.HourlyRate, size.VCPU, size.MemoryMB), nil
			}
		}
	}
	return "", fmt.Errorf("instance type %q: the cloud does not list it", id)
}
