package phalatest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/phalatest"
)

// FuzzServe sends any request: the cloud responds, with valid JSON if that is the content type, and never panics.
func FuzzServe(f *testing.F) {
	for _, r := range [][4]string{
		{"GET", "/cvms/web-1", "", ""},
		{"GET", "/cvms/paginated", "page=9223372036854775807&page_size=100", ""},
		{"GET", "/cvms/web-1/operations", "cursor=-1&limit=1", ""},
		{"GET", "/apps/0x00/usage", "start_date=0001-01-01T00:00:00Z&offset=9", ""},
		{"POST", "/cvms/provision", "", `{"name":"web-2","compose_file":{"name":"","docker_compose_file":"a","allowed_envs":null},"disk_size":-1}`},
		{"PATCH", "/cvms/web-1", "", `{"docker_compose_file":"b","vcpu":0,"gpus":{"gpus":[]}}`},
		{"POST", "/attestations/verify", "", `{"hex":"04000200810000"}`},
		{"PUT", "/cvms/web-1/ports", "", `{"ports":[{"vm_port":1,"protocol":"udp"}]}`},
		{"POST", "/cvms/web-1/replicas", "", `null`},
		{"PATCH", "/cvms/name%20web-1/name", "", `{"name":"name web-1"}`},
		{"POST", "/cvms/web-1/commit-update", "token=x", `{"token":null}`},
	} {
		f.Add(r[0], r[1], r[2], r[3], "application/json", "2026-01-21")
	}
	f.Fuzz(func(t *testing.T, method, path, query, body, media, version string) {
		s := phalatest.New(t, phalatest.Lenient(), phalatest.WithManualTicks())
		c, err := s.Client()
		require.NoError(t, err)
		create(t, c, "web-1")
		s.Tick()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		u := &url.URL{Scheme: "https", Host: "phala.test", Path: "/api/v1" + path, RawQuery: query}
		req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		req.Header = http.Header{"X-Api-Key": {s.APIKey}, "X-Phala-Version": {version}, "Content-Type": {media}}
		resp, err := s.Transport().RoundTrip(req)
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		require.NoError(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		require.NoError(t, err)
		require.True(t, resp.StatusCode >= 200 && resp.StatusCode < 600, resp.StatusCode)
		if len(data) > 0 && resp.Header.Get("Content-Type") == "application/json" {
			require.True(t, json.Valid(data), "%s", data)
		}
	})
}
