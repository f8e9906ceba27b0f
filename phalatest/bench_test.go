package phalatest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
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

// BenchmarkManyDeploys makes whole deployments, verified, on one cloud: one after the other, and as many at once as its
// name says. "p99-ratio" compares the 99th percentile of the latter with what the machine's cores would need for all of
// them at the pace of one after the other.
func BenchmarkManyDeploys(b *testing.B) {
	s, err := phalatest.Start(phalatest.WithTick(time.Millisecond))
	require.NoError(b, err)
	b.Cleanup(s.Close)
	c, err := s.Client()
	require.NoError(b, err)
	made := 0
	many := func(n int) (took []time.Duration) {
		took = make([]time.Duration, n)
		specs := make([]deploy.Spec, n)
		for i := range specs {
			made++
			specs[i] = spec(b, fmt.Sprintf("web-%d", made))
		}
		var all sync.WaitGroup
		start := time.Now()
		for i := range n {
			all.Go(func() {
				_, err := deploy.Run(b.Context(), c, specs[i], deploy.WithKMSRoot(s.KMSRoot()), deploy.WithTeamWallet(s.TeamWallet()), deploy.WithVerification(s.AttestationPolicy()))
				if took[i] = time.Since(start); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		return took
	}
	many(1) // makes the authority
	for _, n := range []int{1, 10, 50, 100, 200, 500} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var serial, p50, p99 time.Duration
			for b.Loop() {
				start := time.Now()
				for range 20 {
					many(1)
				}
				serial += time.Since(start) / 20
				took := many(n)
				p50, p99 = p50+took[n/2], p99+took[(n*99-1)/100]
			}
			ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(b.N) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ms(serial), "serial-ms")
			b.ReportMetric(ms(p50), "p50-ms")
			b.ReportMetric(ms(p99), "p99-ms")
			b.ReportMetric(float64(p99)/(float64(serial)*float64(n)/float64(min(n, runtime.GOMAXPROCS(0)))), "p99-ratio")
		})
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
