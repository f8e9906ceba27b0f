package phalatest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func TestProvision_DevelopmentImageUnlessRefused(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		prefer *bool
		image  *string
		dev    bool
	}{
		"absent":           {nil, nil, true},
		"asked for":        {openapi.Ptr(true), nil, true},
		"refused":          {openapi.Ptr(false), nil, false},
		"named":            {nil, openapi.Ptr("dstack-0.5.6"), false},
		"named, preferred": {openapi.Ptr(false), openapi.Ptr("dstack-dev-0.5.6"), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("web-" + name[:2])
			r.Name = "web-" + string('a'+byte(len(name)))
			r.PreferDev, r.Image = tt.prefer, tt.image
			p, err := c.CVMs.Provision(t.Context(), r)
			require.NoError(t, err)
			vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
			require.NoError(t, err)
			detail, err := c.CVMs.Get(t.Context(), vm.VMUUID)
			require.NoError(t, err)
			assert.Equal(t, tt.dev, *detail.OS.IsDev)
			if tt.image != nil {
				assert.Equal(t, *tt.image, detail.OS.Name)
			}
		})
	}
}

func TestProvision_NodeAndTeepodAreTwoIDSpaces(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	nodes, err := c.Nodes.ListAvailable(t.Context())
	require.NoError(t, err)
	first, second := nodes.Nodes[0], nodes.Nodes[1]
	assert.Equal(t, []string{"7", "12"}, []string{string(first.NodeID), string(first.TeepodID)})
	assert.Equal(t, first.NodeID, second.TeepodID, "the number of one machine is another one in the other space")

	r := request("web-1")
	r.NodeID = openapi.Ptr(7)
	byNode, err := c.CVMs.Provision(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, first.DeviceID, byNode.DeviceID)
	r.NodeID, r.TeepodID = nil, openapi.Ptr(7)
	byTeepod, err := c.CVMs.Provision(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, second.DeviceID, byTeepod.DeviceID)
	r.NodeID = openapi.Ptr(7)
	_, err = c.CVMs.Provision(t.Context(), r)
	assert.Equal(t, "ERR-02-009", code(t, err))
}

// The cloud hashes what it received: a null stays, and a default replaces an absent member only.
func TestProvision_HashesWhatItReceived(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]string{
		"nulls":                `"storage_fs":null,"bash_script":null`,
		"unknown members":      `"x":{"b":[null,1],"a":"<&>"},"tomorrow":null`,
		"version 3":            `"manifest_version":"3","requirements":{"os_version":"0.6.0"}`,
		"several init scripts": `"init_script":["a","b"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := phalatest.New(t)
			c, err := s.Client(client.WithoutRetry())
			require.NoError(t, err)
			sent := `{"name":"","docker_compose_file":"services: {web: {}}","pre_launch_script":"#!/bin/sh\n",` + members + `}`
			defaults := map[string]any{
				"allowed_envs": []string{}, "features": []string{"kms", "tproxy-net"}, "gateway_enabled": true, "kms_enabled": true,
				"local_key_provider_enabled": false, "manifest_version": 2, "no_instance_id": false, "public_logs": true, "public_sysinfo": true,
				"public_tcbinfo": true, "runner": "docker-compose", "secure_time": false, "storage_fs": "zfs", "tproxy_enabled": true,
			}
			require.NoError(t, json.Unmarshal([]byte(sent), &defaults))
			full, err := json.Marshal(defaults)
			require.NoError(t, err)
			canonical, err := compose.Canonicalize(full)
			require.NoError(t, err)
			var got struct {
				Hash string `json:"compose_hash"`
			}
			require.NoError(t, c.Do(t.Context(), http.MethodPost, "/cvms/provision", json.RawMessage(`{"name":"web-1","compose_file":`+sent+`}`), &got))
			assert.Equal(t, compose.Sum(canonical).String(), got.Hash)
		})
	}
}

func TestProvision_RefusesWhatTheCloudRefuses(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t, phalatest.Lenient())
	c, err := s.Client(client.WithoutRetry())
	require.NoError(t, err)
	document := func(text string) string {
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		return `{"name":"web-1","compose_file":{"name":"","docker_compose_file":` + string(quoted) + `}}`
	}
	for name, tt := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"null where none is allowed":   {`{"name":"web-1","listed":null,"compose_file":{"name":"","docker_compose_file":"services: {}"}}`, 422, ""},
		"null in the document":         {`{"name":"web-1","compose_file":{"name":"","docker_compose_file":"services: {}","swap_size":null}}`, 422, ""},
		"null list":                    {`{"name":"web-1","env_keys":null,"compose_file":{"name":"","docker_compose_file":"services: {}"}}`, 422, ""},
		"no YAML":                      {document("services: {web: "), 400, "ERR-01-003"},
		"a path":                       {document("./docker-compose.yml"), 400, "ERR-01-003"},
		"a list":                       {document("- services"), 400, "ERR-01-003"},
		"no services":                  {document("version: '3'"), 400, "ERR-01-003"},
		"a key twice":                  {document("services: {web: {}, web: {}}"), 400, "ERR-01-003"},
		"a variable without value":     {document("services:\n  web:\n    environment:\n      KEY:\n"), 400, "ERR-01-003"},
		"the same through an anchor":   {document("x-env: &env\n  KEY:\nservices:\n  web:\n    environment:\n      <<: *env\n"), 400, "ERR-01-003"},
		"a member twice":               {`{"name":"web-1","compose_file":{"name":"","name":"a","docker_compose_file":"services: {}"}}`, 400, "ERR-01-003"},
		"no compose file":              {`{"name":"web-1","compose_file":{"name":"","docker_compose_file":null}}`, 400, "ERR-01-002"},
		"a variable of the host is OK": {document("services:\n  web:\n    environment:\n      - KEY\n"), 200, ""},
		"a null in the request is OK":  {`{"name":"web-1","image":null,"compose_file":{"name":"","docker_compose_file":"services: {}"}}`, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.Do(t.Context(), http.MethodPost, "/cvms/provision", json.RawMessage(tt.body), nil)
			if tt.status == 200 {
				require.NoError(t, err)
				return
			}
			var api *client.APIError
			require.ErrorAs(t, err, &api)
			assert.Equal(t, tt.status, api.StatusCode, err)
			assert.Equal(t, tt.code, string(api.Code))
		})
	}
}

func TestPreLaunchScript_IsWhatTheCloudInserts(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t, phalatest.WithPreLaunchScript("#!/bin/sh\necho mine\n"))
	c, err := s.Client()
	require.NoError(t, err)
	r := request("web-1")
	r.ComposeFile.PreLaunchScript = nil
	p, err := c.CVMs.Provision(t.Context(), r)
	require.NoError(t, err)
	vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
	require.NoError(t, err)
	script, err := c.CVMs.GetPreLaunchScript(t.Context(), vm.VMUUID)
	require.NoError(t, err)
	text, sum := s.PreLaunchScript()
	assert.Equal(t, text, script)
	upgrade, err := c.CVMs.GetPreLaunchUpgrade(t.Context(), vm.VMUUID)
	require.NoError(t, err)
	assert.Equal(t, sum.String(), upgrade.LatestOfficialHash)
}
