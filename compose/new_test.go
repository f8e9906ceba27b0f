package compose_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

const smallFile = "services: {a: {image: b}}"

func TestNew_Options(t *testing.T) {
	t.Parallel()
	script := compose.WithPreLaunchScript("echo")
	for name, tt := range map[string]struct {
		option      compose.Option
		want        string // a part of the canonical document
		predictable bool
	}{
		"name":                {compose.WithName("n"), `"name":"n"`, true},
		"env":                 {compose.WithEnv([]compose.EnvVar{{"B", "hunter2"}, {"A", "1"}, {"B", "2"}}), `"allowed_envs":["A","B"]`, true},
		"no env":              {compose.WithEnv(nil), `"allowed_envs":[]`, true},
		"allowed":             {compose.WithAllowedEnvs("B", "A"), `"allowed_envs":["B","A"]`, true},
		"init script":         {compose.WithInitScript("x\n"), `"init_script":"x\n"`, true},
		"init scripts":        {compose.WithInitScript("x", "<y>"), `"init_script":["x","<y>"]`, false},
		"no gateway":          {compose.WithGateway(false), `"features":["kms"],"gateway_enabled":false`, true},
		"gateway":             {compose.WithGateway(true), `"features":["kms","tproxy-net"],"gateway_enabled":true`, true},
		"no kms":              {compose.WithKMS(false), `"features":["tproxy-net"],"gateway_enabled":true,"kms_enabled":false`, true},
		"kms":                 {compose.WithKMS(true), `"features":["kms","tproxy-net"],"gateway_enabled":true,"kms_enabled":true`, true},
		"key provider":        {compose.WithKeyProvider("kms", "ab"), `"key_provider":"kms","key_provider_id":"ab"`, false},
		"key provider, no id": {compose.WithKeyProvider("none", ""), `"key_provider":"none","kms_enabled"`, false},
		"local keys":          {compose.WithLocalKeyProvider(true), `"local_key_provider_enabled":true`, true},
		"no instance id":      {compose.WithoutInstanceID(), `"no_instance_id":true`, true},
		"private logs":        {compose.WithPublicLogs(false), `"public_logs":false`, true},
		"private figures":     {compose.WithPublicSysInfo(false), `"public_sysinfo":false`, true},
		"private tcb":         {compose.WithPublicTCBInfo(false), `"public_tcbinfo":false`, true},
		"secure time":         {compose.WithSecureTime(true), `"secure_time":true`, true},
		"ext4":                {compose.WithStorageFS("ext4"), `"storage_fs":"ext4"`, true},
		"swap":                {compose.WithSwapSize(2 << 30), `"swap_size":2147483648`, false},
		"salt":                {compose.WithSalt("s"), `"salt":"s"`, true},
		"gateway domain":      {compose.WithGatewayDomain("d.example"), `"default_gateway_domain":"d.example"`, true},
		"ports":               {compose.WithPortPolicy(true, compose.PortRule{Port: 80, ProxyProtocol: true}), `"port_policy":{"ports":[{"port":80,"pp":true}],"restrict_mode":true}`, false},
		"no ports":            {compose.WithPortPolicy(true), `"port_policy":{"ports":[],"restrict_mode":true}`, false},
		"member":              {compose.WithMember("docker_config", map[string]string{"registry": "r"}), `"docker_config":{"registry":"r"}`, false},
		"member of field":     {compose.WithMember("name", "n"), `"name":"n"`, true},
		"another type":        {compose.WithMember("manifest_version", "3"), `"manifest_version":"3"`, false},
		"null":                {compose.WithMember("storage_fs", nil), `"storage_fs":null`, false},
	} {
		app, err := compose.New(smallFile, script, tt.option)
		require.NoError(t, err, name)
		doc, err := app.Canonical()
		require.NoError(t, err, name)
		assert.Contains(t, string(doc), tt.want, name)
		assert.Equal(t, tt.predictable, app.Predictable(), name)
	}
}

func TestNew_BashScript(t *testing.T) {
	t.Parallel()
	app, err := compose.New("", compose.WithBashScript("echo hi\n"), compose.WithPreLaunchScript("echo"))
	require.NoError(t, err)
	doc, err := app.Canonical()
	require.NoError(t, err)
	assert.Contains(t, string(doc), `"bash_script":"echo hi\n"`)
	assert.NotContains(t, string(doc), "docker_compose_file")
	assert.True(t, app.Predictable())
}

// The order of variables does not change the hash of a document that New derives the names of.
func TestWithEnv_OrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	hash := func(env ...compose.EnvVar) compose.Hash {
		app, err := compose.New(smallFile, compose.WithEnv(env))
		require.NoError(t, err)
		h, err := app.Hash()
		require.NoError(t, err)
		return h
	}
	assert.Equal(t, hash(compose.EnvVar{Key: "A"}, compose.EnvVar{Key: "B"}), hash(compose.EnvVar{Key: "B"}, compose.EnvVar{Key: "A"}))
}

func TestModel_OpenAPI(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"name":"","docker_compose_file":"services: {a: {image: \"b<&>\"}}","allowed_envs":["B","A"],"storage_fs":null}`,
		`{"manifest_version":"3","name":"x","init_script":["a","b"],"requirements":{"os_version":"0.6"},"swap_size":"2G"}`,
		`{"name":"n","port_policy":{"ports":[{"port":80,"pp":false}],"restrict_mode":true},"swap_size":5}`,
		`{"key_provider":"kms","name":""}`,
	} {
		app, err := compose.Parse([]byte(doc))
		require.NoError(t, err)
		var model openapi.AppCompose
		require.NoError(t, app.ToModel(&model), doc)
		back, err := compose.FromModel(model)
		require.NoError(t, err)
		want, err := app.Hash()
		require.NoError(t, err)
		got, err := back.Hash()
		require.NoError(t, err)
		assert.Equal(t, want, got, doc)
	}
}

func TestToModel_RefusesAModelThatLosesAMember(t *testing.T) {
	t.Parallel()
	app, err := compose.New(smallFile, compose.WithSalt("s"))
	require.NoError(t, err)
	var small struct {
		Name string `json:"name"`
	}
	require.ErrorContains(t, app.ToModel(&small), "the member allowed_envs differs")
	var wrong []int
	require.Error(t, app.ToModel(&wrong))
	_, err = compose.FromModel(func() {})
	require.Error(t, err)
}

// A password in a document is in its JSON, which is what is sent, and nowhere else.
func TestApp_FormatsAsHash(t *testing.T) {
	t.Parallel()
	app, err := compose.New(smallFile, compose.WithMember("docker_config", map[string]string{"password": "hunter2"}))
	require.NoError(t, err)
	hash, err := app.Hash()
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "app", app, "value", *app)
	for _, text := range []string{
		log.String(), fmt.Sprintf("%v %+v %#v %s %q %x", app, app, app, app, app, app), fmt.Sprint(*app),
		fmt.Sprintf("%+v", struct{ App *compose.App }{app}), fmt.Sprintf("%v", []compose.App{*app}),
	} {
		assert.NotContains(t, text, "hunter2")
		assert.NotContains(t, text, "104 117 110 116 101 114") // of a byte slice
	}
	assert.Equal(t, "app-compose "+hash.String(), fmt.Sprint(app))
	pointer, err := json.Marshal(app)
	require.NoError(t, err)
	value, err := json.Marshal(*app)
	require.NoError(t, err)
	assert.Equal(t, string(pointer), string(value))
	assert.Equal(t, "app-compose without a canonical form", fmt.Sprint(compose.App{Extra: map[string]json.RawMessage{"x": []byte("?")}}))
}

func TestEnvVar_JSON(t *testing.T) {
	t.Parallel()
	v := compose.EnvVar{Key: "TOKEN", Value: "hunter2"}
	text, err := json.Marshal(map[string]any{"env": []compose.EnvVar{v}, "pointer": &v})
	require.NoError(t, err)
	assert.JSONEq(t, `{"env":[{"key":"TOKEN","value":"[redacted]"}],"pointer":{"key":"TOKEN","value":"[redacted]"}}`, string(text))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "env", v, "all", []compose.EnvVar{v}, "in", struct{ V compose.EnvVar }{v})
	assert.NotContains(t, log.String(), "hunter2")

	var back compose.EnvVar
	require.ErrorContains(t, json.Unmarshal([]byte(`{"key":"TOKEN","value":"[redacted]"}`), &back), `"TOKEN"`)
	require.NoError(t, json.Unmarshal([]byte(`{"key":"TOKEN","value":"x"}`), &back))
	assert.Equal(t, "x", back.Value)
	err = json.Unmarshal([]byte(`{"key":5,"value":"hunter2"}`), &back)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
}

// A pair given as a name is refused, and is shown nowhere.
func TestEnvVar_PairAsName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"TOKEN=hunter2", "TOKEN: hunter2", "TOKEN hunter2", "TOKEN\nhunter2", "=hunter2", "TOKEN+hunter2", "é=hunter2"} {
		_, err := compose.New(smallFile, compose.WithAllowedEnvs(name))
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "hunter2")
		v := compose.EnvVar{Key: name, Value: "hunter2"}
		text, marshalErr := json.Marshal(v)
		require.NoError(t, marshalErr)
		for _, shown := range []string{fmt.Sprintf("%v %+v %#v %q", v, v, v, v), string(text), v.LogValue().String()} {
			assert.NotContains(t, shown, "hunter2", name)
		}
	}
	require.ErrorContains(t, compose.ValidateEnvName("TOKEN=hunter2"), `"TOKEN"`)
	require.ErrorContains(t, compose.ValidateEnvName("A-B"), `"A-B"`)
}

func TestPlatformVariable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"DSTACK_APP_ID", "DSTACK_APP_DOMAIN", "DSTACK_GATEWAY_DOMAIN", "DSTACK_DOCKER_PASSWORD", "DSTACK_AWS_ECR_REGISTRY", "DSTACK_ROOT_PASSWORD", "DSTACK_AUTHORIZED_KEYS"} {
		effect, ok := compose.PlatformVariable(name)
		assert.True(t, ok, name)
		assert.NotEmpty(t, effect)
	}
	_, ok := compose.PlatformVariable("DSTACK_OTHER")
	assert.False(t, ok)
}
