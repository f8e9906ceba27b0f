package openapi_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// documents have what a typed model loses most easily.
var documents = []string{
	`{}`,
	`{"name":""}`,
	`{"name":null,"storage_fs":null,"bash_script":null,"swap_size":null,"allowed_envs":null,"port_policy":null}`,
	`{"name":"a","manifest_version":"3","requirements":{"launch_token_hash":"00","os_version":null}}`,
	`{"name":"a","init_script":["#!/bin/sh","true"],"manifest_version":2.0,"swap_size":0}`,
	`{"name":"a","swap_size":"2G","port_policy":{"ports":[{"port":80,"pp":null,"x":1}],"restrict_mode":true}}`,
	`{"name":"a","port_policy":{"ports":[],"restrict_mode":false},"allowed_envs":["B","A",null]}`,
	`{"Name":"A","name":"a","NAME":"b","storage_fs":"btrfs","kms_enabled":1,"features":{}}`,
	`{"name":7,"runner":true,"salt":{"a":[1.5,-0,1e3,{"":null}]},"key_provider":"none"}`,
	`{"name":"<&>\u2028\u0000é😀","docker_compose_file":"a: \"\\u003c\"\n"}`,
}

// requireSurvives compares a document that compose accepts with what a provision and an update send of it.
func requireSurvives(t *testing.T, doc []byte) {
	t.Helper()
	want, err := compose.Canonicalize(doc)
	if err != nil {
		return
	}
	var provision openapi.ProvisionRequest
	require.NoError(t, json.Unmarshal(doc, &provision.ComposeFile), "%s", doc)
	sent, err := json.Marshal(provision)
	require.NoError(t, err, "%s", doc)
	var raw struct {
		ComposeFile json.RawMessage `json:"compose_file"`
	}
	require.NoError(t, json.Unmarshal(sent, &raw))
	got, err := compose.Canonicalize(raw.ComposeFile)
	require.NoError(t, err, "%s", raw.ComposeFile)
	require.Equal(t, string(want), string(got))

	var update openapi.ProvisionComposeUpdateRequest
	require.NoError(t, json.Unmarshal(doc, &update), "%s", doc)
	sent, err = json.Marshal(update)
	require.NoError(t, err, "%s", doc)
	got, err = compose.Canonicalize(sent)
	require.NoError(t, err, "%s", sent)
	require.Equal(t, string(want), string(got))
}

func TestAppCompose_SurvivesDecodingAndEncoding(t *testing.T) {
	t.Parallel()
	for _, doc := range documents {
		_, err := compose.Canonicalize([]byte(doc))
		require.NoError(t, err, doc)
		requireSurvives(t, []byte(doc))
	}
	data, err := os.ReadFile(filepath.Join("..", "compose", "testdata", "canonical.json"))
	require.NoError(t, err)
	var values any
	require.NoError(t, json.Unmarshal(data, &values))
	objects := 0
	eachObject(values, func(text []byte) {
		objects++
		requireSurvives(t, text)
	})
	require.NotZero(t, objects)
}

// eachObject calls fn with every object within a value, and every text that is one.
func eachObject(value any, fn func([]byte)) {
	switch v := value.(type) {
	case map[string]any:
		if text, err := json.Marshal(v); err == nil {
			fn(text)
		}
		for _, inner := range v {
			eachObject(inner, fn)
		}
	case []any:
		for _, inner := range v {
			eachObject(inner, fn)
		}
	case string:
		if len(v) > 1 && v[0] == '{' {
			fn([]byte(v))
		}
	}
}

func TestAppCompose_SurvivesRealDocuments(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "vectors", "*compose*.json"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no vectors beside the checkout")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var values any
		require.NoError(t, json.Unmarshal(data, &values))
		eachObject(values, func(text []byte) { requireSurvives(t, text) })
	}
}

// Documents are drawn from the described names, their values from everything that JSON can say.
func TestAppCompose_SurvivesForDrawnDocuments(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 8))
	accepted := 0
	for range 3000 {
		doc, err := json.Marshal(drawDocument(random))
		require.NoError(t, err)
		if _, err := compose.Canonicalize(doc); err == nil {
			accepted++
			requireSurvives(t, doc)
		}
	}
	require.Greater(t, accepted, 2500, "the documents must be accepted for the test to mean anything")
}

var memberNames = []string{
	"name", "allowed_envs", "bash_script", "default_gateway_domain", "docker_compose_file", "features", "gateway_enabled", "init_script",
	"key_provider", "key_provider_id", "kms_enabled", "local_key_provider_enabled", "manifest_version", "no_instance_id", "port_policy",
	"pre_launch_script", "public_logs", "public_sysinfo", "public_tcbinfo", "runner", "salt", "secure_time", "storage_fs", "swap_size",
	"tproxy_enabled", "update_env_vars", "requirements", "docker_config", "NAME", "x", "",
}

func drawDocument(random *rand.Rand) map[string]any {
	doc := map[string]any{}
	for range random.IntN(12) {
		doc[memberNames[random.IntN(len(memberNames))]] = drawValue(random, 3)
	}
	return doc
}

func drawValue(random *rand.Rand, depth int) any {
	switch n := random.IntN(9); {
	case n == 0:
		return nil
	case n == 1:
		return random.IntN(2) == 0
	case n == 2:
		return random.IntN(100000) - 50000
	case n == 3:
		return json.RawMessage([]string{"2.0", "1e3", "-0", "0.1", "9007199254740991", "-1.5E-3"}[random.IntN(6)])
	case n <= 5:
		return []string{"", "zfs", "2G", "<b>&\u2028\n", "3", "kms", "é😀"}[random.IntN(7)]
	case depth == 0:
		return "deep"
	case n == 6:
		list := make([]any, random.IntN(4))
		for i := range list {
			list[i] = drawValue(random, depth-1)
		}
		return list
	case n == 7:
		return []string{"A", "B"}[:random.IntN(3)]
	}
	object := map[string]any{}
	for i := range random.IntN(4) {
		object[[]string{"ports", "restrict_mode", "port", fmt.Sprint("k", i)}[random.IntN(4)]] = drawValue(random, depth-1)
	}
	return object
}

func FuzzAppComposeSurvives(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Fuzz(requireSurvives)
}

func TestAppCompose_FieldsThatAreSetGoFirst(t *testing.T) {
	t.Parallel()
	var doc openapi.AppCompose
	require.NoError(t, json.Unmarshal([]byte(`{"storage_fs":null,"x":1,"init_script":["a"]}`), &doc))
	assert.Nil(t, doc.StorageFS)
	doc.StorageFS = openapi.Ptr(openapi.StorageFS("ext4"))
	doc.Name = "web"
	delete(doc.AdditionalProperties, "x")
	sent, err := json.Marshal(doc)
	require.NoError(t, err)
	assert.JSONEq(t, `{"storage_fs":"ext4","name":"web","init_script":["a"]}`, string(sent))
}

func TestAppCompose_RefusesRawTextThatIsNoJSON(t *testing.T) {
	t.Parallel()
	_, err := json.Marshal(openapi.AppCompose{AdditionalProperties: map[string]openapi.RawJSON{"x": openapi.RawJSON(`1,"y":2`)}})
	require.ErrorContains(t, err, `"x"`)
	var doc openapi.AppCompose
	require.Error(t, json.Unmarshal([]byte(`[]`), &doc))
}

func TestRequests_SendRequiredListsThatAreNil(t *testing.T) {
	t.Parallel()
	for want, request := range map[string]any{
		`{"vm_uuids":[]}`:                        openapi.GetStatusesRequest{},
		`{"cvm_ids":[]}`:                         openapi.StopBatchRequest{},
		`{"ports":[]}`:                           openapi.SetPortsRequest{},
		`{"ssh_key_ids":[]}`:                     openapi.SetCVMSSHKeysRequest{},
		`{"domains":[]}`:                         openapi.DiagnoseDomainsRequest{},
		`{"gpus":{"gpus":[]}}`:                   openapi.UpdateCVMRequest{GPUs: &openapi.GPUConfig{}},
		`{"url":"u","events":[]}`:                openapi.CreateWebhookRequest{URL: "u"},
		`{"cvm_ids":["a"]}`:                      openapi.StopBatchRequest{CVMIDs: []string{"a"}},
		`{"compose_file":{"name":""},"name":""}`: openapi.ProvisionRequest{},
	} {
		sent, err := json.Marshal(request)
		require.NoError(t, err)
		assert.JSONEq(t, want, string(sent))
	}
}
