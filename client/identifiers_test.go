package client

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/phala-go/phala/openapi"
)

func TestIdentifierForms(t *testing.T) {
	t.Parallel()
	hex40 := strings.Repeat("aB", 20)
	for id, want := range map[string]openapi.PathParam{
		"web-1": "web-1", "cvm_Xk3": "cvm_Xk3", "42": "42",
		"7F3B4C2A-1D5E-4F60-8A9B-0C1D2E3F4A5B": "7F3B4C2A1D5E4F608A9B0C1D2E3F4A5B",
		"7f3b4c2a1d5e4f608a9b0c1d2e3f4a5b":     "7f3b4c2a1d5e4f608a9b0c1d2e3f4a5b",
		"7f3b4c2a-1d5e-1f60-8a9b-0c1d2e3f4a5b": "7f3b4c2a-1d5e-1f60-8a9b-0c1d2e3f4a5b", // version 1
		"7f3b4c2a-1d5e-4f60-ca9b-0c1d2e3f4a5b": "7f3b4c2a-1d5e-4f60-ca9b-0c1d2e3f4a5b", // another variant
		hex40:                                  openapi.PathParam("app_" + hex40),
		"app_" + hex40:                         openapi.PathParam("app_" + hex40),
		"instance_" + hex40:                    openapi.PathParam("instance_" + hex40),
		"0x" + hex40:                           openapi.PathParam("app_" + strings.ToLower(hex40)),
	} {
		assert.Equal(t, want, cvmPath(id), id)
	}
	lower := openapi.PathParam(strings.ToLower(hex40))
	for _, id := range []string{hex40, "app_" + hex40, "0x" + hex40} {
		assert.Equal(t, lower, appPath(id), id)
	}
	assert.Equal(t, openapi.PathParam("web"), appPath("web"))
	assert.Equal(t, openapi.PathParam(strings.Repeat("ab", 32)), hashPath("0x"+strings.Repeat("AB", 32)))
}

func FuzzCVMPath(f *testing.F) {
	for _, s := range []string{"web-1", "..", "paginated", "7f3b4c2a-1d5e-4f60-8a9b-0c1d2e3f4a5b", strings.Repeat("a", 40)} {
		f.Add(s)
	}
	r := newRouter(operations())
	f.Fuzz(func(t *testing.T, id string) {
		req, err := openapi.NewCVMsGetStatsRequest("https://h", cvmPath(id))
		if err != nil {
			return
		}
		path := strings.TrimPrefix(req.URL.EscapedPath(), basePath)
		if r.match("GET", path) != opCVMsGetStats || strings.Count(path, "/") != 3 {
			t.Fatalf("%q became %s", id, path)
		}
	})
}
