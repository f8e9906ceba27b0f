package inspect_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose/inspect"
)

const file = `
services:
  web:
    image: nginx@sha256:b3c656d55d7ad751196f21b7fd2e8d4da9cb430e32f646adcf92441b72f82b14
    ports: ["8080:80", "53:53/udp", "9000"]
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
volumes:
  data: {}
`

func TestLoad(t *testing.T) {
	t.Parallel()
	r, err := inspect.Load(t.Context(), file)
	require.NoError(t, err)
	assert.Equal(t, []string{"TOKEN"}, r.EnvNames)
	require.Len(t, r.Services, 3)
	web := r.Services[2]
	assert.Equal(t, "web", web.Name)
	assert.Equal(t, []string{"8080/tcp", "53/udp"}, web.Ports)
	assert.Equal(t, []string{"data"}, web.Volumes)
	var found []string
	for _, f := range r.Findings {
		found = append(found, f.Service+" "+string(f.Rule))
	}
	assert.ElementsMatch(t, []string{
		"db local file", "db image without a digest", "db env_file", "db privileged", "tool image that must be built",
	}, found)
}

func TestLoadFailsWhereDockerComposeDoes(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"docker-compose file": "services: [",
		"services.web.imagge": "services:\n  web:\n    image: a\n    imagge: b\n",
		"neither an image":    "services:\n  web: {}\n",
		"closing brace":       "services:\n  web:\n    image: ${A\n",
	} {
		_, err := inspect.Load(t.Context(), text)
		require.ErrorContains(t, err, want)
	}
}

func TestLoadReadsNoOtherFile(t *testing.T) {
	t.Parallel()
	r, err := inspect.Load(t.Context(), "include: [/etc/passwd]\nservices:\n  web:\n    image: a@sha256:b\n    env_file: /etc/passwd\n    extends: {file: /etc/passwd, service: x}\n")
	require.NoError(t, err)
	assert.Len(t, r.Findings, 2)
}

func ExampleLoad() {
	r, err := inspect.Load(context.Background(), "services:\n  web:\n    image: nginx:1.29\n    environment: [\"TOKEN=${TOKEN}\"]\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.EnvNames, r.Findings[0])
	// Output: [TOKEN] web: image without a digest: nginx:1.29
}
