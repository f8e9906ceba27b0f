package phalatest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func spec(t testing.TB, name string) deploy.Spec {
	t.Helper()
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithAllowedEnvs("TOKEN"), compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	return deploy.Spec{Name: name, Compose: app, Env: []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}}}
}

// BenchmarkDeploy is a whole deploy on a cloud of its own: start, provision, encrypt, create, wait, verify.
func BenchmarkDeploy(b *testing.B) {
	for b.Loop() {
		s, err := phalatest.Start(phalatest.WithTick(time.Millisecond))
		require.NoError(b, err)
		c, err := s.Client()
		require.NoError(b, err)
		_, err = deploy.Run(b.Context(), c, spec(b, "web-1"), deploy.WithKMSRoot(s.KMSRoot()), deploy.WithTeamWallet(s.TeamWallet()), deploy.WithVerification(s.AttestationPolicy()))
		require.NoError(b, err)
		s.Close()
	}
}

// BenchmarkThousandCVMs creates a thousand CVMs at once, waits for all, lists them, and deletes them.
func BenchmarkThousandCVMs(b *testing.B) {
	for b.Loop() {
		s, err := phalatest.Start()
		require.NoError(b, err)
		c, err := s.Client()
		require.NoError(b, err)
		thousand(b, s, c)
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/1000, "ms/cvm")
}

const many = 1000

func thousand(t testing.TB, s *phalatest.Server, c *client.Client) {
	t.Helper()
	ids := make([]string, many)
	each := func(do func(ctx context.Context, i int) error) {
		var all sync.WaitGroup
		failed := make([]error, many)
		for i := range many {
			all.Go(func() { failed[i] = do(t.Context(), i) })
		}
		all.Wait()
		for _, err := range failed {
			require.NoError(t, err)
		}
	}
	each(func(ctx context.Context, i int) error {
		p, err := c.CVMs.Provision(ctx, request(fmt.Sprintf("web-%d", i)))
		if err != nil {
			return err
		}
		vm, err := c.CVMs.Create(ctx, openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
		if err == nil {
			ids[i] = vm.VMUUID
		}
		return err
	})
	for {
		states, err := c.CVMs.GetStatuses(t.Context(), openapi.GetStatusesRequest{VMUUIDs: ids})
		require.NoError(t, err)
		running := 0
		for _, state := range states {
			if state.Status == "running" {
				running++
			}
		}
		if running == many {
			break
		}
		time.Sleep(phalatest.DefaultTick)
	}
	page, err := c.CVMs.List(t.Context(), &openapi.CVMsListParams{PageSize: openapi.Ptr(100), Page: openapi.Ptr(10)})
	require.NoError(t, err)
	require.Equal(t, many, page.Total)
	each(func(ctx context.Context, i int) error { return c.CVMs.Delete(ctx, ids[i]) })
}
