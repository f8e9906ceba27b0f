package attest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func TestComposeText_DiffersByANewline(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for name, tt := range map[string]struct{ ran, shown, says string }{
		"too few":  {appCompose + "\n", appCompose, "no newline at its end"},
		"too many": {appCompose, appCompose + "\n", "an additional newline at its end"},
		"CR LF":    {appCompose, appCompose + "\r\n", "an additional newline at its end"},
		"another":  {appCompose, appCompose + "\n\n ", ""},
	} {
		s := spec()
		s.AppCompose = tt.ran
		e := sign(t, a, s)
		e.AppCompose = tt.shown
		_, err := attest.Verify(t.Context(), e, a.Policy())
		requireOnly(t, err, attest.ErrComposeText)
		if tt.says == "" {
			assert.NotContains(t, err.Error(), "newline", name)
		} else {
			assert.ErrorContains(t, err, "it has "+tt.says, name)
		}
	}
}

// A zero mr_config_id is normal on some hosts: RTMR3 and an expected compose hash bind the app without it.
func TestVerify_WithoutMRConfigID(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec(), quotetest.ChangeQuote(func(q *attest.Quote) { q.MRConfigID = attest.Measurement{} }))
	r, err := attest.Verify(t.Context(), e, strict(t, a))
	require.NoError(t, err)
	assert.Equal(t, attest.NotAsked, r.Check(attest.CheckMRConfigID).Outcome)

	_, err = attest.Verify(t.Context(), e, a.Policy())
	requireOnly(t, err, attest.ErrMRConfigID)
	require.ErrorIs(t, err, attest.ErrNotPossible)
	assert.NotContains(t, err.Error(), "does not fit")

	p := strict(t, a)
	p.ComposeHashes = []compose.Hash{{1}}
	_, err = attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrComposeHash)
}

func TestVerify_ImageMeasuredTwice(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec(), quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
		i := position(log, "os-image-hash")
		return slices.Insert(log, i, log[i])
	}))
	_, err := attest.Verify(t.Context(), e, strict(t, a))
	require.NoError(t, err)
}

// Without a policy the report names the image, what that rests on, and the line that pins it.
func TestReport_PinsTheImage(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec())
	r, err := attest.Verify(t.Context(), e, a.Policy())
	require.NoError(t, err)
	c := r.Check(attest.CheckOSImage)
	assert.Equal(t, attest.NotAsked, c.Outcome)
	assert.Contains(t, c.Detail, r.Attested.OSImageHash+", reported by the KMS through an event of RTMR3, not computed")
	assert.Equal(t, fmt.Sprintf("policy.OSImageHashes, err = attest.ParseOSImageHashes(%q)", r.Attested.OSImageHash), c.Pin)
	assert.Contains(t, r.String(), c.Pin)
	data, err := r.JSON()
	require.NoError(t, err)
	assert.Contains(t, string(data), `"pin": "policy.OSImageHashes`)

	p := a.Policy()
	p.OSImageHashes, err = attest.ParseOSImageHashes(r.Attested.OSImageHash)
	require.NoError(t, err)
	r, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)
	assert.Empty(t, r.Check(attest.CheckOSImage).Pin)
	for _, text := range []string{"", "00", strings.Repeat("g", 64)} {
		_, err := attest.ParseOSImageHashes(text)
		require.ErrorContains(t, err, "want 64 hexadecimal digits")
	}
}

func TestParseConfigDocumentRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"white space":    `{"compose_hash":"22", "key_provider":"none","version":3}`,
		"unsorted":       `{"key_provider":"none","compose_hash":"22","version":3}`,
		"twice":          `{"compose_hash":"11","compose_hash":"22","key_provider":"none","version":3}`,
		"in other case":  `{"COMPOSE_HASH":"22","key_provider":"none","version":3}`,
		"unknown member": `{"compose_hash":"22","key_provider":"none","other":1,"version":3}`,
		"empty member":   `{"app_id":"","compose_hash":"22","key_provider":"none","version":3}`,
		"other version":  `{"compose_hash":"22","key_provider":"none","version":4}`,
		"trailing":       `{"compose_hash":"22","key_provider":"none","version":3} `,
		"no JSON":        `{`,
		"too large":      string(make([]byte, attest.MaxConfigDocument+1)),
	} {
		_, err := attest.ParseConfigDocument([]byte(text))
		require.Error(t, err, name)
	}
	_, err := attest.MRConfigIDV2([32]byte{}, [20]byte{}, attest.KeyProvider{Name: "other"})
	require.Error(t, err)
	_, err = attest.MRConfigIDV2([32]byte{}, [20]byte{}, attest.KeyProvider{Name: "kms", ID: "zz"})
	require.Error(t, err)
}

func TestReadBootEventsRefuses(t *testing.T) {
	t.Parallel()
	log := func(names ...string) []attest.Event {
		var all []attest.Event
		for _, name := range names {
			payload := make([]byte, 20)
			if name == "compose-hash" {
				payload = make([]byte, 32)
			}
			all = append(all, event(t, name, payload))
		}
		return all
	}
	_, err := attest.ReadBootEvents(log("app-id", "compose-hash", "instance-id", "gpu-event", "gpu-event", "system-ready"))
	require.NoError(t, err, "only the known ones must be there once")
	for name, tc := range map[string]struct {
		log  []attest.Event
		want error
	}{
		"nothing":            {nil, attest.ErrMissingEvent},
		"no app id":          {log("compose-hash", "system-ready"), attest.ErrMissingEvent},
		"no compose hash":    {log("app-id", "system-ready"), attest.ErrMissingEvent},
		"app id too late":    {log("compose-hash", "system-ready", "app-id"), attest.ErrMissingEvent},
		"image of 20 bytes":  {log("app-id", "compose-hash", "os-image-hash", "system-ready"), attest.ErrEventLog},
		"provider not JSON":  {log("app-id", "compose-hash", "key-provider", "system-ready"), attest.ErrEventLog},
		"provider of blanks": {append([]attest.Event{event(t, "key-provider", []byte(`{"name":"kms 3059","id":""}`))}, log("app-id", "compose-hash", "system-ready")...), attest.ErrEventLog},
		"provider too long":  {append([]attest.Event{event(t, "key-provider", []byte(`{"name":"kms","id":"`+strings.Repeat("0", 2000)+`"}`))}, log("app-id", "compose-hash", "system-ready")...), attest.ErrEventLog},
		"storage twice":      {log("app-id", "compose-hash", "storage-fs", "storage-fs", "system-ready"), attest.ErrDuplicateEvent},
		"name with a colon":  {log("app-id:", "app-id", "compose-hash", "system-ready"), attest.ErrEventLog},
		"app id of 21 bytes": {append([]attest.Event{event(t, "app-id", make([]byte, 21))}, log("compose-hash", "system-ready")...), attest.ErrEventLog},
	} {
		_, err := attest.ReadBootEvents(tc.log)
		require.ErrorIs(t, err, tc.want, name)
	}
	_, err = attest.Replay([]attest.Event{{IMR: 4, Digest: make([]byte, 48)}})
	require.ErrorIs(t, err, attest.ErrEventLog)
}
