package description

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestRouter_LiteralsGoBeforeParameters(t *testing.T) {
	t.Parallel()
	table := []Route{
		{"GET", "/kms/{id}/info"}, {"GET", "/kms/on-chain/{chain}"}, {"GET", "/kms/{id}"}, {"POST", "/kms/{id}"},
	}
	r := NewRouter(table, func(r *Route) Route { return *r })
	for path, want := range map[string]string{
		"/kms/a/info": "/kms/{id}/info a", "/kms/on-chain/base": "/kms/on-chain/{chain} base",
		"/kms/a%2Fb": "/kms/{id} a/b", "/kms/": "", "/kms": "", "/kms/%zz": "",
	} {
		found, params := r.Find("GET", path)
		if want == "" {
			assert.Nil(t, found, path)
			continue
		}
		require.NotNil(t, found, path)
		for _, value := range params {
			assert.Equal(t, want, found.Path+" "+value)
		}
	}
	found, _ := r.Find("POST", "/kms/a")
	assert.Equal(t, &table[3], found)
	found, _ = r.Find("DELETE", "/kms/a")
	assert.Nil(t, found)
}

func TestCheck_NamesThePlaceAndNoValue(t *testing.T) {
	t.Parallel()
	d, err := Read(openapi.Document())
	require.NoError(t, err)
	provision := Route{"POST", "/api/v1/cvms/provision"}
	for name, tt := range map[string]struct {
		route       Route
		query, body string
		want        string
	}{
		"fits":           {provision, "", `{"name":"web-1","compose_file":{"name":""}}`, ""},
		"wrong type":     {provision, "", `{"name":7,"compose_file":{"name":""}}`, "body.name"},
		"missing":        {provision, "", `{"name":"s3cret"}`, "body"},
		"unknown":        {provision, "", `{"name":"web-1","compose_file":{"name":""},"nmae":"s3cret"}`, "body"},
		"null":           {provision, "", `{"name":null,"compose_file":{"name":""}}`, "body.name"},
		"null upstream":  {provision, "", `{"name":"web-1","image":null,"compose_file":{"name":"","storage_fs":null}}`, ""},
		"null elsewhere": {provision, "", `{"name":"web-1","compose_file":{"name":"","swap_size":null}}`, "body.compose_file.swap_size"},
		"query":          {Route{"GET", "/api/v1/cvms/paginated"}, "pgae=s3cret", "", "query.pgae"},
		"out of range":   {Route{"GET", "/api/v1/cvms/paginated"}, "page_size=s3cret", "", "query.page_size"},
		"no JSON":        {provision, "", `{"name":`, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.route.Verb, "/?"+tt.query, nil)
			r.Header = http.Header{"Content-Type": {"application/json"}}
			wrong, err := d.Check(Request{Route: tt.route, Request: r, Body: []byte(tt.body)})
			require.NoError(t, err)
			if tt.want == "" {
				assert.Empty(t, wrong)
				return
			}
			require.NotEmpty(t, wrong)
			assert.Equal(t, tt.want, wrong[0].Place())
			for _, m := range wrong {
				assert.NotContains(t, m.Text, "s3cret")
			}
		})
	}
	_, err = d.Check(Request{Route: Route{"GET", "/nowhere"}})
	require.ErrorContains(t, err, "/nowhere")
	wrong, err := d.CheckResponse(Route{"GET", "/api/v1/cvms/paginated"}, 200, []byte(`{"items":null,"total":"many"}`))
	require.NoError(t, err)
	require.NotEmpty(t, wrong)
	assert.Contains(t, wrong[0].Place()+wrong[len(wrong)-1].Place(), "total")
}
