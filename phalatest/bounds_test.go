package phalatest_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/internal/interleave"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func TestRequests_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int][]string{0: nil, 2: {"/api/v1/cvms/web-4", "/api/v1/cvms/web-5"}, 9: {
		"/api/v1/cvms/web-1", "/api/v1/cvms/web-2", "/api/v1/cvms/web-3", "/api/v1/cvms/web-4", "/api/v1/cvms/web-5",
	}} {
		s := phalatest.New(t, phalatest.WithRequestLog(limit))
		c, err := s.Client()
		require.NoError(t, err)
		for i := range 5 {
			_, err := c.CVMs.Get(t.Context(), fmt.Sprintf("web-%d", i+1))
			require.ErrorIs(t, err, client.ErrNotFound)
		}
		var paths []string
		for _, r := range s.Requests() {
			paths = append(paths, r.Path)
			assert.Equal(t, "[redacted]", r.Header.Get("X-Api-Key"))
		}
		assert.Equal(t, want, paths)
	}
	_, err := phalatest.Start(phalatest.WithRequestLog(-1))
	require.Error(t, err)
}

func TestProvision_ForgottenAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phalatest.New(t)
		c, err := s.Client()
		require.NoError(t, err)
		create := func(p *openapi.Provision) error {
			_, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
			return err
		}
		first, err := c.CVMs.Provision(t.Context(), request("web-1"))
		require.NoError(t, err)
		time.Sleep(14*24*time.Hour - time.Second)
		second, err := c.CVMs.Provision(t.Context(), request("web-2"))
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		third, err := c.CVMs.Provision(t.Context(), request("web-3"))
		require.NoError(t, err)
		require.ErrorIs(t, create(first), client.ErrHashInvalidOrExpired)
		require.NoError(t, create(second))
		require.NoError(t, create(third))
	})
}

func TestCVMsList_FiltersPageInOrder(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	var small, cpu []string
	for i, kind := range []string{"tdx.small", "tdx.large", "h200.small", "tdx.small", "tdx.large", "tdx.small"} {
		r := request(fmt.Sprintf("web-%d", i))
		r.InstanceType = &kind
		p, err := c.CVMs.Provision(t.Context(), r)
		require.NoError(t, err)
		_, err = c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
		require.NoError(t, err)
		if kind == "tdx.small" {
			small = append(small, r.Name)
		}
		if kind != "h200.small" {
			cpu = append(cpu, r.Name)
		}
	}
	for family, tt := range map[string]struct {
		kinds []string
		want  []string
	}{"": {[]string{"tdx.small"}, small}, "cpu": {nil, cpu}} {
		params := openapi.CVMsListParams{InstanceTypes: tt.kinds, PageSize: openapi.Ptr(2)}
		if family != "" {
			params.Family = &family
		}
		var got []string
		for cvm, err := range c.CVMs.All(t.Context(), &params) {
			require.NoError(t, err)
			got = append(got, cvm.Name)
		}
		assert.Equal(t, tt.want, got)
	}
	options, err := c.Apps.GetFilterOptions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"h200.small", "tdx.large", "tdx.small"}, options.InstanceTypes)
}

// fill makes a cloud with that many running CVMs, each with an app of its own.
func fill(t testing.TB, cvms int) (*phalatest.Server, *client.Client, []string) {
	t.Helper()
	s, err := phalatest.Start(phalatest.WithManualTicks())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	c, err := s.Client(client.WithoutRetry())
	require.NoError(t, err)
	var ids []string
	for i := range cvms {
		p, err := c.CVMs.Provision(t.Context(), request(fmt.Sprintf("web-%d", i)))
		require.NoError(t, err)
		vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
		require.NoError(t, err)
		ids = append(ids, vm.VMUUID)
	}
	for range 4 {
		s.Tick()
	}
	return s, c, ids
}

// BenchmarkScale compares requests to a cloud of 20,000 CVMs with the same to smaller ones, interleaved. AppsByStatus,
// which looks at every app, is there to show what is not flat.
func BenchmarkScale(b *testing.B) {
	type cloud struct {
		s   *phalatest.Server
		c   *client.Client
		ids []string
	}
	sizes := []int{20_000, 100, 1000, 5000}
	clouds := make([]cloud, len(sizes))
	for i, n := range sizes {
		clouds[i].s, clouds[i].c, clouds[i].ids = fill(b, n)
	}
	made := 0
	for name, ask := range map[string]func(cloud) error{
		"Get":       func(x cloud) error { _, err := x.c.CVMs.Get(b.Context(), x.ids[50]); return err },
		"GetByName": func(x cloud) error { _, err := x.c.CVMs.Get(b.Context(), "web-50"); return err },
		"List":      func(x cloud) error { _, err := x.c.CVMs.List(b.Context(), nil); return err },
		"ListLastPage": func(x cloud) error {
			_, err := x.c.CVMs.List(b.Context(), &openapi.CVMsListParams{Page: openapi.Ptr(len(x.ids) / 30)})
			return err
		},
		"ListFamily": func(x cloud) error {
			_, err := x.c.CVMs.List(b.Context(), &openapi.CVMsListParams{Family: openapi.Ptr("cpu")})
			return err
		},
		"Apps": func(x cloud) error { _, err := x.c.Apps.List(b.Context(), nil); return err },
		"AppsByStatus": func(x cloud) error {
			_, err := x.c.Apps.List(b.Context(), &openapi.AppsListParams{Status: []string{"running"}})
			return err
		},
		"FilterOptions": func(x cloud) error { _, err := x.c.Apps.GetFilterOptions(b.Context()); return err },
		"Nodes":         func(x cloud) error { _, err := x.c.Nodes.ListAvailable(b.Context()); return err },
		"Quotas":        func(x cloud) error { _, err := x.c.Workspaces.GetQuotas(b.Context(), "test"); return err },
		"Statuses": func(x cloud) error {
			_, err := x.c.CVMs.GetStatuses(b.Context(), openapi.GetStatusesRequest{VMUUIDs: x.ids[:100]})
			return err
		},
		"InstanceIDs": func(x cloud) error {
			_, err := x.c.CVMs.RefreshInstanceIDs(b.Context(), openapi.RefreshInstanceIDsRequest{})
			return err
		},
		"Provision": func(x cloud) error { _, err := x.c.CVMs.Provision(b.Context(), request("another-1")); return err },
		"CreateAndDelete": func(x cloud) error {
			made++
			p, err := x.c.CVMs.Provision(b.Context(), request(fmt.Sprintf("new-%d", made)))
			if err != nil {
				return err
			}
			vm, err := x.c.CVMs.Create(b.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
			if err != nil {
				return err
			}
			if err := x.c.CVMs.Delete(b.Context(), vm.VMUUID); err != nil {
				return err
			}
			x.s.Tick()
			x.s.Tick()
			return x.c.Do(b.Context(), http.MethodGet, "/instance-types", nil, nil)
		},
	} {
		b.Run(name, func(b *testing.B) {
			var smaller []interleave.Baseline
			for i, n := range sizes[1:] {
				smaller = append(smaller, interleave.Baseline{Name: strconv.Itoa(n), Do: func() error { return ask(clouds[i+1]) }})
			}
			interleave.Compare(b, func() error { return ask(clouds[0]) }, smaller...)
		})
	}
}
