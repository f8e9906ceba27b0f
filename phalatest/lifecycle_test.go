package phalatest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWebhook_EventsOfOperations(t *testing.T) {
	t.Parallel()
	for want, all := range map[string][]operation{
		"cvm.created":       {{kind: "create"}},
		"cvm.create_failed": {{kind: "create", failure: "no image"}},
		"cvm.started":       {{kind: "power_on"}},
		"cvm.restarted":     {{kind: "restart"}},
		"cvm.updated":       {{kind: "update"}, {kind: "compose_update"}, {kind: "env_update"}, {kind: "resize"}, {kind: "os_image_update"}, {kind: "redeploy"}},
		"cvm.stopped":       {{kind: "power_off"}, {kind: "shutdown"}},
		"cvm.deleted":       {{kind: "delete"}},
		"":                  {{kind: "restart", failure: "no image"}},
	} {
		for _, o := range all {
			assert.Equal(t, want, o.event(), o.kind)
		}
	}
}
