package phalatest_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

// The guest changes some values on their way to the containers.
func TestEnv_ChangedByTheGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phalatest.New(t)
		c, err := s.Client()
		require.NoError(t, err)
		deployed(t, c, "web-1",
			kms.EnvVar{Key: "A", Value: `DOM\user`}, kms.EnvVar{Key: "B", Value: "-----BEGIN KEY-----\nabc\n"}, kms.EnvVar{Key: "C", Value: `a\\b`},
			kms.EnvVar{Key: "D", Value: `ends in \`}, kms.EnvVar{Key: "E", Value: "swallowed"}, kms.EnvVar{Key: "F", Value: `{"a": "$1"}`})
		env, err := s.Env("web-1")
		require.NoError(t, err)
		got := map[string]string{}
		for _, v := range env {
			got[v.Key] = v.Value
		}
		assert.Equal(t, `DOM\user`, got["A"])
		assert.Equal(t, `-----BEGIN KEY-----\nabc\n`, got["B"])
		assert.Equal(t, `a\b`, got["C"])
		assert.NotContains(t, got, "E")
	})
}
