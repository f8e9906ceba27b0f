package verify_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// steering is text that begins a line of its own, moves a terminal's cursor, turns text around and is far too long.
var steering = "\nforged\x1b[2J\u009b1A\u202egnp\u2066\u0007" + strings.Repeat("A", 100_000)

// planting appends steering to one text of an answer.
type planting struct {
	left int             // the number of texts before it
	hex  map[string]bool // the names of members with hexadecimal digits or nothing; the first of a name counts
}

func plantedAt(value any, at int) (planted any, done bool) {
	p := planting{at, map[string]bool{}}
	planted = p.plant("", value)
	return planted, p.left < 0
}

func (p *planting) plant(name string, value any) any {
	switch v := value.(type) {
	case string:
		if _, err := hex.DecodeString(v); err == nil {
			if p.hex[name] {
				return v
			}
			p.hex[name] = true
		}
		if p.left--; p.left == -1 {
			return v + steering
		}
	case []any:
		for i := range v {
			v[i] = p.plant(name, v[i])
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			v[name] = p.plant(name, v[name])
		}
	}
	return value
}

// eachPlanted calls run once for each text in the answers of an operation, with steering behind that text.
func eachPlanted(t *testing.T, s *phalatest.Server, operation string, run func()) {
	t.Helper()
	for at, planted := 0, true; planted; at++ {
		planted = false
		s.TamperResponse(operation, func(status int, body []byte) (int, []byte) {
			var value any
			if json.Unmarshal(body, &value) != nil {
				return status, body
			}
			value, done := plantedAt(value, at)
			planted = planted || done
			changed, err := json.Marshal(value)
			assert.NoError(t, err)
			return status, changed
		})
		run()
	}
	s.TamperResponse(operation, func(status int, body []byte) (int, []byte) { return status, body })
}

func TestApp_HostileText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust)
		for _, operation := range []string{"Apps.GetAttestations", "Apps.ListCVMs"} {
			eachPlanted(t, s, operation, func() {
				result, err := verify.App(t.Context(), c, app.ID, s.AttestationPolicy(),
					verify.WithKMS(attest.Policy{}, kms.RootKey{1}), verify.WithGateway(attest.Policy{}))
				requirePlainResult(t, result, err)
			})
		}
	})
}

func TestCVM_HostileText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		running(t, c, trust)
		verified := func() {
			instance, err := verify.CVM(t.Context(), c, "web-1", s.AttestationPolicy())
			requirePlainInstance(t, instance, err)
		}
		eachPlanted(t, s, "CVMs.Get", verified)
		// Without the evidence of the app, that of the CVM is requested.
		s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(members map[string]any) { members["instances"] = []any{} })
		})
		eachPlanted(t, s, "CVMs.GetAttestation", verified)
	})
}

// The cloud's answers to uploads of quotes are the collateral.
func TestApp_HostileCollateral(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust)
		policy := s.AttestationPolicy()
		policy.Collateral = nil
		eachPlanted(t, s, "Attestations.Verify", func() {
			result, err := verify.App(t.Context(), c, app.ID, policy)
			requirePlainResult(t, result, err)
		})
	})
}

func TestEvidence_HostileText(t *testing.T) {
	t.Parallel()
	a := authority(t)
	image := quotetest.NewOSImage("dstack")
	known, err := image.Known()
	require.NoError(t, err)
	policy := expecting(t, a)
	policy.Images, policy.Devices, policy.OSImageHashes = []*osimage.Image{known}, []kms.DeviceID{{1}}, []osimage.ImageHash{{1}}
	policy.InstanceID = strings.Repeat("ab", 20)

	fields := map[string]func(*attest.Evidence){
		"name":        func(e *attest.Evidence) { e.Name = steering },
		"text":        func(e *attest.Evidence) { e.AppCompose = steering },
		"config":      func(e *attest.Evidence) { e.ConfigDocument = steering },
		"vm_config":   func(e *attest.Evidence) { e.VMConfig = steering },
		"image":       func(e *attest.Evidence) { e.OSImage = "dstack-dev-" + steering },
		"instance id": func(e *attest.Evidence) { e.InstanceID = steering },
		"quote":       func(e *attest.Evidence) { e.Quote = []byte(steering) },
		"PCK chain": func(e *attest.Evidence) {
			at := bytes.Index(e.Quote, []byte("-----BEGIN"))
			copy(e.Quote[at:], steering[:len(e.Quote)-at-200])
		},
	}
	for _, form := range []int{1, 2, 3} {
		spec := app()
		spec.OSImage, spec.ConfigVersion = image, form
		_, evidence, err := a.Certificate(spec)
		require.NoError(t, err)
		for i := range evidence.EventLog {
			fields[fmt.Sprintf("event %d", i)] = func(e *attest.Evidence) { e.EventLog[i].Name += steering }
			fields[fmt.Sprintf("payload %d", i)] = func(e *attest.Evidence) { e.EventLog[i].Payload = append(e.EventLog[i].Payload, steering...) }
			fields[fmt.Sprintf("preimage %d", i)] = func(e *attest.Evidence) {
				e.EventLog[i].Version, e.EventLog[i].Preimage = 2, []byte(steering)
			}
		}
		for _, change := range fields {
			changed := evidence
			changed.Quote, changed.EventLog = slices.Clone(evidence.Quote), slices.Clone(evidence.EventLog)
			for i := range changed.EventLog {
				changed.EventLog[i].Payload = slices.Clone(changed.EventLog[i].Payload)
			}
			change(&changed)
			instance, err := verify.Evidence(t.Context(), changed, policy)
			requirePlainInstance(t, instance, err)
		}
		for at, planted := 0, true; planted; at++ {
			var value any
			require.NoError(t, json.Unmarshal([]byte(evidence.VMConfig), &value))
			value, planted = plantedAt(value, at)
			text, err := json.Marshal(value)
			require.NoError(t, err)
			changed := evidence
			changed.VMConfig = string(text)
			instance, err := verify.Evidence(t.Context(), changed, policy)
			requirePlainInstance(t, instance, err)
		}
	}

	// What the hardware measured: an operating system of an attacker measures any text.
	measured := map[string]func(*quotetest.Spec){
		"key provider":       func(s *quotetest.Spec) { s.KeyProvider.Name = steering },
		"id of the provider": func(s *quotetest.Spec) { s.KeyProvider.ID = steering },
		"file system":        func(s *quotetest.Spec) { s.StorageFS = steering },
		"events": func(s *quotetest.Spec) {
			s.Events = []attest.Event{{Name: steering, Payload: []byte(steering)}}
		},
	}
	for _, change := range measured {
		spec := app()
		change(&spec)
		_, evidence, err := a.Certificate(spec)
		require.NoError(t, err)
		instance, err := verify.Evidence(t.Context(), evidence, policy)
		requirePlainInstance(t, instance, err)
	}
	for at := range 9 {
		for _, change := range []func(*attest.Event){
			func(e *attest.Event) { e.Name += steering },
			func(e *attest.Event) { e.Payload = []byte(steering) },
		} {
			_, evidence, err := a.Certificate(app(), quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
				e := &log[len(log)-9+at]
				change(e)
				e.Digest = nil
				return log
			}))
			require.NoError(t, err)
			instance, err := verify.Evidence(t.Context(), evidence, policy)
			requirePlainInstance(t, instance, err)
		}
	}
}

// requirePlainInstance checks all texts of an instance, as text and in the formats of a result.
func requirePlainInstance(t testing.TB, instance *verify.Instance, err error) {
	t.Helper()
	if instance == nil {
		requirePlainResult(t, nil, err)
		return
	}
	requirePlainResult(t, result(*instance), err)
}

func requirePlainResult(t testing.TB, result *verify.Result, err error) {
	t.Helper()
	if err != nil {
		requirePlainError(t, err)
	}
	if result == nil {
		return
	}
	for _, one := range append(slices.Clone(result.Instances), nodes(result)...) {
		requirePlain(t, one.CVM+one.Name+one.Status)
		if one.Err != nil {
			requirePlainError(t, one.Err)
		}
		if one.Report != nil {
			requirePlain(t, one.Report.String())
			text, err := one.Report.JSON()
			require.NoError(t, err)
			requirePlain(t, string(text))
		}
	}
	for _, write := range []func() ([]byte, error){
		func() ([]byte, error) { return json.Marshal(result) },
		result.JUnit,
		func() ([]byte, error) { return result.SARIF("docker-compose.yml") },
	} {
		text, err := write()
		require.NoError(t, err)
		requirePlain(t, string(text))
	}
}

// nodes returns the KMS and the gateway of a result.
func nodes(result *verify.Result) []verify.Instance {
	var all []verify.Instance
	for _, node := range []*verify.Instance{result.KMS, result.Gateway} {
		if node != nil {
			all = append(all, *node)
		}
	}
	return all
}

// requirePlainError checks the text of an error and of each error that it wraps.
func requirePlainError(t testing.TB, err error) {
	t.Helper()
	requirePlain(t, err.Error())
	switch wrapping := err.(type) {
	case interface{ Unwrap() error }:
		if inner := wrapping.Unwrap(); inner != nil {
			requirePlainError(t, inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapping.Unwrap() {
			requirePlainError(t, inner)
		}
	}
}

func requirePlain(t testing.TB, text string) {
	t.Helper()
	assert.Less(t, len(text), len(steering), "%.300q", text)
	assert.NotContains(t, text, "\nforged")
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Errorf("%U is in %.300q", r, text)
			return
		}
	}
}
