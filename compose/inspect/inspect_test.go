package inspect_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/compose/inspect"
)

const digest = "@sha256:b3c656d55d7ad751196f21b7fd2e8d4da9cb430e32f646adcf92441b72f82b14"

// found lists findings as "severity rule subject line".
func found(r *inspect.Report) []string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s %s %s %d", f.Severity, f.Rule, f.Subject, f.Line))
	}
	return all
}

func TestLoad(t *testing.T) {
	t.Parallel()
	r, err := inspect.Load(t.Context(), `
services:
  web:
    image: nginx`+digest+`
    ports: ["8080:80", "53:53/udp", "9000", "127.0.0.1:5432:5432", "[::1]:1:1", "0.0.0.0:443:443"]
    restart: always
    environment:
      TOKEN: ${TOKEN}
    volumes:
      - data:/data
      - /var/run/dstack.sock:/var/run/dstack.sock
  db:
    image: postgres:17
    env_file: secrets.env
    privileged: true
    volumes:
      - ./init.sql:/init.sql
  tool:
    build: ./tool
    profiles: [tools]
volumes:
  data: {}
`)
	require.NoError(t, err)
	assert.Equal(t, []compose.EnvUse{{Name: "TOKEN", Line: 8, Required: true}}, r.Env)
	require.Len(t, r.Services, 3)
	assert.Equal(t, inspect.Service{
		Name: "web", Image: "nginx" + digest, Ports: []string{"8080/tcp", "53/udp", "443/tcp"}, Volumes: []string{"data"}, Restart: "always",
	}, r.Services[2])
	assert.Equal(t, []string{
		"error env-file service db 14", "error build service tool 19",
		"warning no-digest service db 13", "warning privileged service db 15", "warning bind service db 16",
	}, found(r))
	require.ErrorContains(t, r.Err(), "line 14: service db: env-file")
	require.ErrorContains(t, r.Err(), "line 19: service tool: build")
}

// Each rule, with what it must find and what it must not.
func TestLoad_Rules(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		service string // members of a service
		rest    string // of the file
		want    []string
	}{
		"nothing":              {want: nil},
		"include":              {rest: "include: [other.yml]\n", want: []string{"error local-file  4"}},
		"secret from a file":   {service: "secrets: [s]", rest: "secrets:\n  s:\n    file: ./s\n", want: []string{"error local-file secret s 7"}},
		"secret from variable": {service: "secrets: [s]", rest: "secrets: {s: {environment: S}}\n"},
		"config from a file":   {service: "configs: [c]", rest: "configs: {c: {file: ./c}}\n", want: []string{"error local-file config c 5"}},
		"config with content":  {service: "configs: [c]", rest: "configs: {c: {content: x}}\n"},
		"external volume":      {service: "volumes: ['v:/v']", rest: "volumes:\n  v: {external: true}\n", want: []string{"error external volume v 6"}},
		"external by variable": {service: "volumes: ['v:/v']", rest: "volumes:\n  v: {external: '${X}'}\n"},
		"external network":     {service: "networks: [n]", rest: "networks: {n: {external: true, name: m}}\n", want: []string{"error external network n 5"}},
		"external secret":      {service: "secrets: [s]", rest: "secrets: {s: {external: true}}\n", want: []string{"error external secret s 5"}},
		"devices":              {service: "devices: ['/dev/nvidia0:/dev/nvidia0']", want: []string{"warning device service a 4"}},
		"device bind":          {service: "volumes: ['/dev/tdx_guest:/dev/tdx_guest']", want: []string{"warning device service a 4"}},
		"kernel's files":       {service: "volumes: ['/proc:/host/proc:ro', '/sys:/sys', '/run/x:/x', '/var/run/docker.sock:/x', '/dev/shm:/x', '/dev:/dev', '/dev/net/tun:/dev/net/tun', '/:/host']"},
		"a name like theirs":   {service: "volumes: ['/process:/x', '/runner:/y']", want: []string{"warning bind service a 4", "warning bind service a 4"}},
		"bind by variable":     {service: "volumes: ['${DATA}:/data', '${ALL}', 'v:${TARGET}', '${D:-/proc}:/x']", rest: "volumes: {v: {}}\n"},
		"bind by default":      {service: "volumes: ['${DATA:-./data}:/data']", want: []string{"warning bind service a 4"}},
		"bind that must exist": {service: "volumes: [{type: bind, source: /x, target: /y, bind: {create_host_path: false}}]", want: []string{"error bind service a 4"}},
		"optional env file":    {service: "env_file: [{path: .env, required: false}]", want: []string{"warning env-file service a 4"}},
		"null variable":        {service: "environment: {A: , B: ~, C: '', D: null}", want: []string{"error null-variable service a 4", "error null-variable service a 4", "error null-variable service a 4"}},
		"listed variable":      {service: "environment: [A]"},
		"label file":           {service: "label_file: ./labels", want: []string{"error local-file service a 4"}},
		"extends a file":       {service: "extends: {file: x.yml, service: y}", want: []string{"error local-file service a 4"}},
		"extends a service":    {service: "extends: {service: b}", rest: "  b: {image: 'x" + digest + "'}\n"},
		"build with an image":  {service: "build: .", want: []string{"warning build service a 4"}},
		"privileged variable":  {service: "privileged: ${P:-true}", want: []string{"warning privileged service a 4"}},
		"no privileges":        {service: "privileged: ${P}"},
		"digest by variable":   {service: "container_name: x", rest: "  b: {image: 'x@sha256:${D}'}\n"},
		"tag by variable":      {rest: "  b: {image: 'x:${TAG:-1}'}\n", want: []string{"warning no-digest service b 5"}},
	} {
		service := tt.service
		if service == "" {
			service = "tty: true"
		}
		file := "services:\n  a:\n    image: x" + digest + "\n    " + service + "\n" + tt.rest
		if name == "include" || name == "digest by variable" || name == "tag by variable" {
			file = strings.Replace(file, "    "+service+"\n", map[bool]string{true: "", false: "    tty: true\n"}[name == "include"], 1)
		}
		r, err := inspect.Load(t.Context(), file)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, found(r), name)
	}
}

func TestLoad_InlineDockerfile(t *testing.T) {
	t.Parallel()
	r, err := inspect.Load(t.Context(), "services:\n  a:\n    build:\n      dockerfile_inline: |\n        FROM x\n        RUN echo $$HOME ${ARG}\n  b:\n    build: https://github.com/x/y.git\n")
	require.NoError(t, err)
	assert.Equal(t, []string{"warning no-digest service a 3", "warning no-digest service b 8"}, found(r))
	require.NoError(t, r.Err())
}

// A file loads with variables wherever Docker Compose takes them, none of which has a value.
func TestLoad_VariablesAnywhere(t *testing.T) {
	t.Parallel()
	r, err := inspect.Load(t.Context(), `
name: ${NAME:?}
services:
  a:
    image: ${IMAGE:?no image}
    command: ["${CMD}", "$$HOME", "5$"]
    ports: ["${PORT}:80", "${IP}:${PORT}:${IN}", "${B:-127.0.0.1}:${P:-90}:90", "${PORTS}", {target: "${T}", published: "${Q}"}]
    expose: ["${E}"]
    mem_limit: ${MEM}
    shm_size: ${SHM:-1g}
    cpus: ${CPUS}
    init: ${INIT}
    read_only: ${RO:-false}
    stop_grace_period: ${GRACE}
    scale: ${SCALE}
    tmpfs: ["${TMP}"]
    volumes: ["${DATA}:/data:${MODE:-ro}", "data:/d", {type: volume, source: data, target: "${TARGET}", read_only: "${R}"}]
    restart: ${RESTART}
    network_mode: ${NETWORK:-bridge}
    ulimits: {nofile: {soft: "${SOFT}", hard: "${HARD}"}, nproc: "${NPROC}"}
    healthcheck: {test: "curl $URL", interval: "${I}", timeout: "${TIMEOUT:-1s}", retries: "${N}"}
    logging: {driver: "${DRIVER}", options: {max-size: "${MAX}"}}
    deploy:
      replicas: ${REPLICAS}
      resources: {limits: {cpus: "${C}", memory: "${M}"}}
      restart_policy: {delay: "${DELAY}", max_attempts: "${ATTEMPTS}"}
    environment: {A: "${A}", B: "${UNSET-}"}
    labels: ["x=${LABEL}"]
    user: "${U}:${G}"
networks:
  n: {internal: "${INTERNAL}", ipam: {config: [{subnet: "${SUBNET}", gateway: "${GATEWAY}"}]}}
volumes: {data: {}}
`)
	require.NoError(t, err)
	assert.Equal(t, "${IMAGE}", r.Services[0].Image)
	assert.Equal(t, []string{"warning no-digest service a 5"}, found(r))
}

func TestLoad_FailsAsDockerComposeDoes(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"docker-compose file": "services: [",
		"imagge":              "services:\n  web:\n    image: a\n    imagge: b\n",
		"neither an image":    "services:\n  web: {}\n",
		"closing brace":       "services:\n  web:\n    image: ${A\n",
		"undefined network":   "services:\n  web: {image: a, networks: [x]}\n",
		"appears twice":       "services:\n  web: {image: a}\n  web: {image: b}\n",
		"empty compose file":  "",
	} {
		_, err := inspect.Load(t.Context(), text)
		require.ErrorContains(t, err, want, text)
		assert.Less(t, len(err.Error()), 600)
	}
}

func TestLoad_ReadsNoOtherFile(t *testing.T) {
	t.Parallel()
	r, err := inspect.Load(t.Context(), "include: [/etc/passwd]\nservices:\n  web:\n    image: a"+digest+"\n    env_file: /etc/passwd\n    label_file: /etc/passwd\n    extends: {file: /etc/passwd, service: x}\n")
	require.NoError(t, err)
	assert.Len(t, r.Findings, 4)
}

func TestApp(t *testing.T) {
	t.Parallel()
	const file = "services:\n  a: {image: 'x" + digest + "', restart: unless-stopped, environment: {D: $DSTACK_APP_ID}}\n  b: {image: 'x" + digest + "', restart: on-failure}\n"
	private := compose.WithPublicLogs(false)
	for name, tt := range map[string]struct {
		file string
		opts []compose.Option
		want []string
	}{
		"defaults":         {file, nil, []string{"warning public-logs  0"}},
		"private":          {file, []compose.Option{private}, nil},
		"own script":       {file, []compose.Option{private, compose.WithPreLaunchScript("check || exit 1"), compose.WithAllowedEnvs("DSTACK_DOCKER_PASSWORD", "X")}, []string{"warning gate  0", "warning platform-variables variable DSTACK_APP_ID 0", "warning platform-variables variable DSTACK_DOCKER_PASSWORD 0"}},
		"large":            {file + strings.Repeat("#", 160<<10), []compose.Option{private}, []string{"warning size  0"}},
		"no compose file":  {"", []compose.Option{compose.WithBashScript("echo hi")}, []string{"warning public-logs  0"}},
		"error and others": {"services: {a: {image: x, env_file: y}}", nil, []string{"error env-file service a 1", "warning public-logs  0", "warning no-digest service a 1"}},
	} {
		app, err := compose.New(tt.file, tt.opts...)
		require.NoError(t, err, name)
		r, err := inspect.App(t.Context(), app)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, found(r), name)
	}
	app, err := compose.New(file)
	require.NoError(t, err)
	*app.DockerComposeFile += strings.Repeat("#", 201<<10)
	r, err := inspect.App(t.Context(), app)
	require.NoError(t, err)
	require.ErrorContains(t, r.Err(), "the platform accepts 204800")
	*app.DockerComposeFile = "services: ["
	_, err = inspect.App(t.Context(), app)
	require.Error(t, err)
}

func TestManifest(t *testing.T) {
	t.Parallel()
	const plain = `{"schemaVersion":2,"config":{"digest":"sha256:00"},"layers":[]}`
	const index = `{"schemaVersion":2,"manifests":[{"digest":"sha256:aa","platform":{"architecture":"amd64","os":"linux"}},{"digest":"sha256:bb","platform":{"architecture":"arm64","os":"linux"}}]}`
	const attested = `{"schemaVersion":2,"manifests":[{"digest":"sha256:aa","platform":{"architecture":"amd64","os":"linux"}},` +
		`{"digest":"sha256:cc","annotations":{"vnd.docker.reference.type":"attestation-manifest"},"platform":{"architecture":"unknown","os":"unknown"}}]}`
	name := func(manifest string) string {
		sum := sha256.Sum256([]byte(manifest))
		return "ghcr.io/x/y:1@sha256:" + hex.EncodeToString(sum[:])
	}
	for _, manifest := range []string{plain, index} {
		findings, err := inspect.Manifest(name(manifest), []byte(manifest))
		require.NoError(t, err)
		assert.Empty(t, findings)
	}
	findings, err := inspect.Manifest(name(attested), []byte(attested))
	require.NoError(t, err)
	require.Len(t, findings, 1)
	assert.Equal(t, inspect.IndexDigest, findings[0].Rule)
	assert.Contains(t, findings[0].Detail, "sha256:aa")
	for want, call := range map[string][2]string{
		"has the SHA-256": {name(index), plain},
		"no digest":       {"nginx:1", plain},
		"its manifest":    {name("no json"), "no json"},
	} {
		_, err := inspect.Manifest(call[0], []byte(call[1]))
		require.ErrorContains(t, err, want)
	}
}

// A file without variables that Docker Compose loads is loaded, and no text makes Load panic.
func FuzzLoad(f *testing.F) {
	f.Add("services: {a: {image: x, ports: ['80:80', '127.0.0.1:1:1']}}")
	f.Add("services: {a: {image: x, ports: ['${P}:80']}}")
	f.Add("services: {a: {image: x, volumes: ['${V}:/x'], environment: [A]}}\nsecrets: {s: {file: x}}")
	f.Add("services:\n  a: &a {image: x, cpus: 1, build: .}\n  b:\n    <<: *a\n    deploy: {replicas: 2}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := inspect.Load(t.Context(), text)
		if err == nil || text == "" || strings.ContainsAny(text, "$\u0085\u2028\u2029\uFEFF") || !utf8.ValidString(text) {
			return
		}
		defer func() { _ = recover() }() // compose-go panics for some files
		_, theirs := loader.LoadWithContext(t.Context(), types.ConfigDetails{
			WorkingDir:  "/",
			ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(text)}},
		}, func(o *loader.Options) {
			o.SetProjectName("app", true)
			o.SkipInclude, o.SkipExtends, o.SkipResolveEnvironment, o.SkipResolveLabels, o.ResolvePaths = true, true, true, true, false
			o.Profiles = []string{"*"}
		})
		if theirs == nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func ExampleLoad() {
	r, err := inspect.Load(context.Background(), "services:\n  web:\n    image: nginx:1.29\n    environment: [\"TOKEN=${TOKEN}\"]\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Env[0].Name, r.Findings[0])
	// Output: TOKEN warning: line 3: service web: no-digest: "nginx:1.29" can become another image without another compose hash; add @sha256:…
}

func TestLoad_RefusesWhatTheLoaderPanicsFor(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"!reset", "!reset {services: {a: {image: x}}}", "services: !reset {a: {image: x}}\n"} {
		_, err := inspect.Load(t.Context(), text)
		require.ErrorContains(t, err, "docker-compose file", text)
	}
}
