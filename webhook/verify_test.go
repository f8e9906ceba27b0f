package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_Zm9yIHRlc3RzIG9ubHksIG5vdGhpbmcgZWxzZSBoZXJl"

// eventBody is the body of an event in the life of a CVM.
func eventBody(id string, typ webhook.Type) []byte {
	return []byte(`{"id":"` + id + `","event":"` + string(typ) + `","version":"1","created_at":"2026-07-01T10:00:00Z",` +
		`"workspace":{"id":"acme","name":"Acme"},"data":{"cvm_id":"11111111-2222-3333-4444-555555555555",` +
		`"cvm_name":"web","app_id":"abc","status":"running"}}`)
}

func TestKnownSignature(t *testing.T) {
	t.Parallel()
	h := webhook.Sign("whsec_test", []byte(`{"a":1}`), time.Unix(1700000000, 0))
	assert.Equal(t, "sha256=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789", h.Get(webhook.HeaderSignature))
	assert.Equal(t, "1700000000", h.Get(webhook.HeaderTimestamp))
	assert.Equal(t, "PhalaCloud-Webhook/1.0", h.Get("User-Agent"))
	assert.Empty(t, h.Values(webhook.HeaderID), "the body has no id")
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_0123456789abcdef", webhook.CVMCreated)
	h := webhook.Sign(secret, body, time.Now())
	assert.Equal(t, "evt_0123456789abcdef", h.Get(webhook.HeaderID))
	assert.Equal(t, "cvm.created", h.Get(webhook.HeaderEvent))
	event, err := webhook.Verify(secret, h, body)
	require.NoError(t, err)
	assert.Equal(t, "evt_0123456789abcdef", event.ID)
	assert.Equal(t, webhook.CVMCreated, event.Type)
	assert.Equal(t, "1", event.Version)
	assert.Equal(t, time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC), event.CreatedAt)
	assert.Equal(t, webhook.Workspace{ID: "acme", Name: "Acme"}, event.Workspace)
}

// Whatever is signed with whatever secret is verified with it, and not with another.
func TestSignVerifyRoundTrip(t *testing.T) {
	t.Parallel()
	property := func(key [32]byte, id uint64, data map[string]string) bool {
		own := "whsec_" + strconv.Quote(string(key[:]))
		raw, err := json.Marshal(data)
		require.NoError(t, err)
		body, err := webhook.Marshal(webhook.Event{ID: strconv.FormatUint(id, 16), Type: "x", Data: raw})
		require.NoError(t, err)
		h := webhook.Sign(own, body, time.Now())
		event, err := webhook.Verify(own, h, body)
		_, otherErr := webhook.Verify(own+"x", h, body)
		return err == nil && event.ID == strconv.FormatUint(id, 16) && bytes.Equal(event.Data, raw) && otherErr != nil
	}
	require.NoError(t, quick.Check(property, nil))
}

// A single bit decides, in the body, the time, the signature and the secret.
func TestVerify_EveryBitCounts(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_0123456789abcdef", webhook.CVMCreated)
	signed := webhook.Sign(secret, body, time.Now())
	flip := func(text string, bit int) string {
		b := []byte(text)
		b[bit/8] ^= 1 << (bit % 8)
		return string(b)
	}
	check := func(name, key string, header http.Header, body []byte, bit int) {
		_, err := webhook.Verify(key, header, body)
		require.ErrorIs(t, err, webhook.ErrSignature, "bit %d of the %s", bit, name)
	}
	for bit := range 8 * len(body) {
		check("body", secret, signed, []byte(flip(string(body), bit)), bit)
	}
	for _, name := range []string{webhook.HeaderTimestamp, webhook.HeaderSignature} {
		for bit := range 8 * len(signed.Get(name)) {
			h := signed.Clone()
			h.Set(name, flip(signed.Get(name), bit))
			check(name, secret, h, body, bit)
		}
	}
	for bit := 48; bit < 8*len(secret); bit++ { // all after "whsec_"
		check("secret", flip(secret, bit), signed, body, bit)
	}
}

func TestStrictHeaders(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMCreated)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	for name, change := range map[string]func(http.Header){
		"no signature":      func(h http.Header) { h.Del(webhook.HeaderSignature) },
		"empty signature":   func(h http.Header) { h.Set(webhook.HeaderSignature, "") },
		"two signatures":    func(h http.Header) { h.Add(webhook.HeaderSignature, h.Get(webhook.HeaderSignature)) },
		"bare hexadecimal":  func(h http.Header) { h.Set(webhook.HeaderSignature, h.Get(webhook.HeaderSignature)[7:]) },
		"another algorithm": func(h http.Header) { h.Set(webhook.HeaderSignature, "sha1="+h.Get(webhook.HeaderSignature)[7:]) },
		"upper case": func(h http.Header) {
			h.Set(webhook.HeaderSignature, "sha256="+strings.ToUpper(h.Get(webhook.HeaderSignature)[7:]))
		},
		"a prefix":           func(h http.Header) { h.Set(webhook.HeaderSignature, h.Get(webhook.HeaderSignature)[:39]) },
		"no timestamp":       func(h http.Header) { h.Del(webhook.HeaderTimestamp) },
		"two timestamps":     func(h http.Header) { h.Add(webhook.HeaderTimestamp, now) },
		"a timestamp with +": func(h http.Header) { h.Set(webhook.HeaderTimestamp, "+"+now) },
		"negative":           func(h http.Header) { h.Set(webhook.HeaderTimestamp, "-1") },
		"leading zero":       func(h http.Header) { h.Set(webhook.HeaderTimestamp, "0"+now) },
		"milliseconds":       func(h http.Header) { h.Set(webhook.HeaderTimestamp, now+".5") },
		"a date":             func(h http.Header) { h.Set(webhook.HeaderTimestamp, time.Now().Format(time.RFC3339)) },
		"beyond 64 bits":     func(h http.Header) { h.Set(webhook.HeaderTimestamp, strings.Repeat("9", 30)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := webhook.Sign(secret, body, time.Now())
			change(h)
			_, err := webhook.Verify(secret, h, body)
			require.ErrorIs(t, err, webhook.ErrSignature)
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

// The headers that are not signed decide nothing.
func TestUnsignedHeaders_AreNotUsed(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMStopped)
	h := webhook.Sign(secret, body, time.Now())
	h.Set(webhook.HeaderID, "evt_2")
	h.Set(webhook.HeaderEvent, string(webhook.CVMDeleted))
	event, err := webhook.Verify(secret, h, body)
	require.NoError(t, err)
	assert.Equal(t, "evt_1", event.ID)
	assert.Equal(t, webhook.CVMStopped, event.Type)
}

func TestTolerance(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMCreated)
	for name, tt := range map[string]struct {
		off  time.Duration
		opts []webhook.VerifyOption
		ok   bool
	}{
		"now":              {0, nil, true},
		"at the old edge":  {-300 * time.Second, nil, true},
		"too old":          {-301 * time.Second, nil, false},
		"at the new edge":  {300 * time.Second, nil, true},
		"from the future":  {301 * time.Second, nil, false},
		"an hour, allowed": {-time.Hour, []webhook.VerifyOption{webhook.WithTolerance(time.Hour)}, true},
		"a second more":    {-time.Hour - time.Second, []webhook.VerifyOption{webhook.WithTolerance(time.Hour)}, false},
		"end of time":      {1<<63 - 1, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := webhook.Sign(secret, body, time.Now().Add(tt.off))
				_, err := webhook.Verify(secret, h, body, tt.opts...)
				if tt.ok {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, webhook.ErrTimestamp)
				}
			})
		})
	}
	// Beyond what a time.Duration holds, in both directions.
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1<<62, 0)} {
		_, err := webhook.Verify(secret, webhook.Sign(secret, body, at), body)
		require.ErrorIs(t, err, webhook.ErrTimestamp)
	}
}

func TestSeveralSecrets(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMCreated)
	for i, key := range []string{"whsec_new", "whsec_old", "whsec_older"} {
		_, err := webhook.Verify("whsec_new", webhook.Sign(key, body, time.Now()), body, webhook.WithSecrets("whsec_old", "whsec_older"))
		require.NoError(t, err, i)
	}
	_, err := webhook.Verify("whsec_new", webhook.Sign("whsec_other", body, time.Now()), body, webhook.WithSecrets("whsec_old"))
	require.ErrorIs(t, err, webhook.ErrSignature)
}

func TestSecrets_Invalid(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMCreated)
	for want, bad := range map[string]string{
		"empty":             "",
		"white space":       secret + "\n",
		"masked by the API": "whsec_****...ZXJl",
	} {
		h := webhook.Sign(bad, body, time.Now())
		for name, err := range map[string]error{
			"the first": verifyError(webhook.Verify(bad, h, body)),
			"another":   verifyError(webhook.Verify(secret, h, body, webhook.WithSecrets(secret, bad))),
		} {
			require.ErrorContains(t, err, want, name)
			assert.NotErrorIs(t, err, webhook.ErrSignature, name)
			assert.NotContains(t, err.Error(), "ZXJl", name)
		}
	}
	_, err := webhook.Verify("chosen-by-hand", webhook.Sign("chosen-by-hand", body, time.Now()), body)
	require.NoError(t, err, "a secret need not begin with whsec_")
}

func verifyError(_ webhook.Event, err error) error { return err }

func TestVerify_SignedBodyThatIsNoEvent(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `null`, `[]`, `"x"`, `{}`, `{"id":"evt_1"}`, `{"event":"cvm.created"}`, `{"id":1,"event":"cvm.created"}`,
		`{"id":"evt_1","event":"cvm.created"} x`, `{"id":"evt_1","event":"cvm.created"`,
		`{"id":"evt_1","event":"cvm.created","created_at":"yesterday"}`,
		`{"id":"` + strings.Repeat("e", 129) + `","event":"cvm.created"}`,
	} {
		_, err := webhook.Verify(secret, webhook.Sign(secret, []byte(body), time.Now()), []byte(body))
		require.ErrorIs(t, err, webhook.ErrBody, body)
	}
}

func FuzzVerify(f *testing.F) {
	body := eventBody("evt_0123456789abcdef", webhook.CVMCreated)
	signed := webhook.Sign(secret, body, time.Now())
	f.Add(signed.Get(webhook.HeaderTimestamp), signed.Get(webhook.HeaderSignature), body)
	f.Add("1700000000", "sha256=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789", []byte(`{"a":1}`))
	f.Add("", "", []byte{})
	f.Add("-9223372036854775808", "sha256=", []byte(`null`))
	f.Fuzz(func(t *testing.T, timestamp, signature string, body []byte) {
		h := http.Header{}
		h.Set(webhook.HeaderTimestamp, timestamp)
		h.Set(webhook.HeaderSignature, signature)
		_, err := webhook.Verify(secret, h, body)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(timestamp + "." + string(body)))
		genuine := signature == "sha256="+hex.EncodeToString(mac.Sum(nil))
		if seconds, parseErr := strconv.ParseInt(timestamp, 10, 64); err == nil && (!genuine || parseErr != nil || time.Since(time.Unix(seconds, 0)).Abs() > time.Hour) {
			t.Fatalf("accepted %q %q over %q", timestamp, signature, body)
		}
		// What the fuzzer cannot sign by itself is signed here, so that the rest is reached.
		now := strconv.FormatInt(time.Now().Unix(), 10)
		mac.Reset()
		mac.Write([]byte(now + "." + string(body)))
		h.Set(webhook.HeaderTimestamp, now)
		h.Set(webhook.HeaderSignature, "sha256="+hex.EncodeToString(mac.Sum(nil)))
		if _, signedErr := webhook.Verify(secret, h, body); errors.Is(signedErr, webhook.ErrSignature) || errors.Is(signedErr, webhook.ErrTimestamp) {
			t.Fatalf("refused a signature over %q: %v", body, signedErr)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("the error shows the secret: %v", err)
		}
	})
}

// A signed body that could be read in two ways is no event.
func TestVerify_RefusesAmbiguousBodies(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"id":"evt_1","event":"cvm.created","id":"evt_2"}`,
		`{"id":"evt_1","event":"cvm.created","Event":"cvm.deleted"}`,
		`{"id":"evt_1","event":"cvm.created","data":{"cvm_id":"a","cvm_id":"b"}}`,
		`{"id":"evt_1","event":"cvm.created","data":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		_, err := webhook.Verify(secret, webhook.Sign(secret, []byte(body), time.Now()), []byte(body))
		require.ErrorIs(t, err, webhook.ErrBody, body)
	}
}
