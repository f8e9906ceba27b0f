package attest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// bundleText verifies evidence that the authority signs, and returns the bundle as text.
func bundleText(t *testing.T, a *quotetest.Authority) []byte {
	t.Helper()
	_, evidence, err := a.Certificate(spec())
	require.NoError(t, err)
	report, bundle, err := attest.Record(t.Context(), evidence, recordPolicy(t, a))
	require.NoError(t, err)
	require.True(t, report.Verified)
	text, err := json.Marshal(bundle)
	require.NoError(t, err)
	return text
}

// recordPolicy is strict, without the nonce, because the quote is that of a certificate.
func recordPolicy(tb testing.TB, a *quotetest.Authority) attest.Policy {
	tb.Helper()
	policy := strict(tb, a)
	policy.ReportData = nil
	return policy
}

func parsed(t *testing.T, text []byte) *attest.Bundle {
	t.Helper()
	bundles, err := attest.ParseBundles(text)
	require.NoError(t, err)
	require.Len(t, bundles, 1)
	return bundles[0]
}

func TestBundle_VerifiesOfflineYearsLater(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	bundle := parsed(t, bundleText(t, a))
	fetches := a.Fetches()

	policy := bundle.Policy
	policy.Roots = a.Roots()
	report, err := bundle.Verify(t.Context(), policy)
	require.NoError(t, err)
	assert.Equal(t, attest.Passed, report.Check(attest.CheckComposeHash).Outcome)
	assert.Equal(t, attest.Passed, report.Check(attest.CheckCollateralTime).Outcome)
	assert.Equal(t, fetches, a.Fetches(), "nothing was fetched")
	assert.True(t, bundle.Time.Equal(now()))

	policy.Now = func() time.Time { return now().AddDate(20, 0, 0) }
	_, err = bundle.Verify(t.Context(), policy)
	require.ErrorIs(t, err, attest.ErrCollateralExpired, "at the time of the verifier the proof is none")
}

func TestBundle_ItsAuthorIsNotTrusted(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	bundle := parsed(t, bundleText(t, a))
	_, err := bundle.Verify(t.Context(), bundle.Policy)
	require.ErrorIs(t, err, attest.ErrQuoteSignature, "a bundle brings no roots")

	_, err = bundle.Verify(t.Context(), attest.Policy{Roots: a.Roots(), ComposeHashes: []compose.Hash{{1}}})
	require.ErrorIs(t, err, attest.ErrComposeHash, "what is expected is for the verifier to decide")

	bundle.Time = now().AddDate(-1, 0, 0)
	_, err = bundle.Verify(t.Context(), attest.Policy{Roots: a.Roots()})
	require.ErrorIs(t, err, attest.ErrClock, "the collateral confines the time")
}

// What is not in a bundle would not be expected by those who read it.
func TestBundle_CarriesEveryField(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	_, evidence, err := a.Certificate(spec())
	require.NoError(t, err)
	evidence.ConfigDocument = "a document"
	evidence.VMConfig = `{"spec_version":1}`
	evidence.OSImage = "dstack-0.6.0"
	evidence.Device = kms.DeviceID{1}
	policy := recordPolicy(t, a)
	policy.KeyProviders = []attest.KeyProvider{{Name: "tpm"}}
	policy.Devices = append(policy.Devices, kms.DeviceID{2})
	policy.ReportData = &[64]byte{1, 63: 2}
	policy.InstanceID = strings.Repeat("ab", 20)
	policy.OSImageHashes = append(policy.OSImageHashes, [32]byte{3})
	policy.Images = []*osimage.Image{{Hash: osimage.ImageHash{4}, Version: "0.6.0"}}
	policy.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.OutOfDate}
	policy.OutOfDateGrace = 36 * time.Hour
	policy.MinTCBEvaluation = 3
	policy.Advisories = []string{}
	policy.Checks = []attest.CustomCheck{{Name: "mine", Check: func(context.Context, *attest.Report) error { return nil }}}
	policy.Waive = []attest.CheckName{attest.CheckDevice, "mine"}
	policy.Cloud = func(context.Context, []byte) (*openapi.QuoteVerification, error) { return nil, errors.New("none") }

	_, bundle, err := attest.Record(t.Context(), evidence, policy)
	require.Error(t, err, "a bundle of what failed is a bundle as well")
	text, err := json.Marshal(bundle)
	require.NoError(t, err)
	again := parsed(t, text)
	assert.Equal(t, attest.LogEntries(evidence.EventLog), attest.LogEntries(again.Evidence.EventLog))
	again.Evidence.EventLog = evidence.EventLog // nil and empty payloads are the same
	assert.Equal(t, evidence, again.Evidence)
	assert.NotNil(t, again.Policy.Advisories, "an empty list is not the absence of one")
	assert.Equal(t, []attest.CheckName{attest.CheckDevice}, again.Policy.Waive)
	for _, value := range []reflect.Value{reflect.ValueOf(again.Evidence), reflect.ValueOf(again.Policy)} {
		for i := range value.NumField() {
			switch name := value.Type().Field(i).Name; name {
			case "Roots", "Collateral", "Now", "Checks", "Cloud":
				assert.True(t, value.Field(i).IsZero(), name)
			default:
				assert.False(t, value.Field(i).IsZero(), "%s does not survive", name)
			}
		}
	}
	policy.Roots, policy.Collateral, policy.Now, policy.Checks, policy.Cloud = nil, nil, nil, nil, nil
	policy.Waive = policy.Waive[:1]
	assert.Equal(t, policy, again.Policy)
}

func TestBundle_WithoutCollateral(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	_, evidence, err := a.Certificate(spec())
	require.NoError(t, err)
	policy := recordPolicy(t, a)
	policy.Collateral = nil
	_, bundle, err := attest.Record(t.Context(), evidence, policy)
	require.ErrorIs(t, err, attest.ErrNotPossible)
	text, err := json.Marshal(bundle)
	require.NoError(t, err)
	_, err = parsed(t, text).Verify(t.Context(), recordPolicy(t, a))
	require.NoError(t, err, "with collateral from elsewhere")
	policy.Waive = []attest.CheckName{"nonsense"}
	_, bundle, err = attest.Record(t.Context(), evidence, policy)
	require.ErrorIs(t, err, attest.ErrPolicy)
	assert.Nil(t, bundle)
}

func TestParseBundles_Forms(t *testing.T) {
	t.Parallel()
	one := string(bundleText(t, newAuthority(t)))
	for name, tt := range map[string]struct {
		text string
		n    int
	}{
		"one": {one, 1}, "a list": {"[" + one + "," + one + "]", 2}, "one after the other": {one + "\n" + one + "\n", 2},
	} {
		bundles, err := attest.ParseBundles([]byte(tt.text))
		require.NoError(t, err, name)
		assert.Len(t, bundles, tt.n, name)
	}
}

func TestParseBundles_Refuses(t *testing.T) {
	t.Parallel()
	text := string(bundleText(t, newAuthority(t)))
	for name, bad := range map[string]string{
		"nothing":               "",
		"an empty list":         "[]",
		"no JSON":               "phala",
		"null":                  "null",
		"another format":        strings.Replace(text, "phala attestation bundle", "sigstore bundle", 1),
		"a later version":       strings.Replace(text, `"version":1`, `"version":2`, 1),
		"no time":               strings.Replace(text, `"time":`, `"tíme":`, 1),
		"an unknown member":     strings.Replace(text, `"policy":{`, `"policy":{"expected_weather":"dry",`, 1),
		"an unknown waiver":     strings.Replace(text, `"policy":{`, `"policy":{"waive":["nonsense"],`, 1),
		"two policies":          strings.Replace(text, `"policy":{`, `"policy":{},"Policy":{`, 1),
		"torn":                  text[:len(text)/2],
		"short report data":     strings.Replace(text, `"policy":{`, `"policy":{"report_data":"00",`, 1),
		"forged collateral":     strings.Replace(text, `UpToDate`, `OutOfDate`, 1),
		"one good, one bad":     "[" + text + ",{}]",
		"a broken second value": text + "{",
	} {
		_, err := attest.ParseBundles([]byte(bad))
		require.ErrorIs(t, err, attest.ErrBundle, name)
	}
	_, err := attest.ParseBundles(make([]byte, attest.MaxBundle+1))
	require.ErrorIs(t, err, attest.ErrBundle)
}

// A bundle whose evidence was changed anywhere does not verify.
func TestBundle_OneByte(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	text := bundleText(t, a)
	policy := parsed(t, text).Policy
	policy.Roots = a.Roots()
	quote := hex.EncodeToString(parsed(t, text).Evidence.Quote)
	at := bytes.Index(text, []byte(quote))
	require.Positive(t, at)
	for i := at; i < at+2*632; i += 31 {
		changed := bytes.Clone(text)
		changed[i] ^= 1 // another hexadecimal digit, or none
		bundles, err := attest.ParseBundles(changed)
		if err == nil {
			_, err = bundles[0].Verify(t.Context(), policy)
		}
		require.Error(t, err, "byte %d", i)
	}
}

// Evidence of real hardware, with Intel's root and collateral.
func TestBundle_OfRealHardware(t *testing.T) {
	t.Parallel()
	var c struct {
		Quote      string
		EventLog   json.RawMessage `json:"event_log"`
		TCBInfo    openapi.TCBInfo `json:"tcb_info"`
		Collateral json.RawMessage
		Issued     time.Time `json:"collateral_issue"`
	}
	require.NoError(t, json.Unmarshal(recorded(t, "cases/mpc-2026-08-14-50328c.json"), &c))
	evidence := attest.Evidence{Name: "real", AppCompose: c.TCBInfo.AppCompose}
	var err error
	evidence.Quote, err = hex.DecodeString(c.Quote)
	require.NoError(t, err)
	evidence.EventLog, err = attest.ParseEventLog(c.EventLog)
	require.NoError(t, err)
	collateral, err := attest.ParseCollateral(c.Collateral)
	require.NoError(t, err)
	policy := attest.Policy{
		ComposeHashes: []compose.Hash{compose.Sum([]byte(evidence.AppCompose))},
		Collateral:    attest.OfflineCollateral(collateral), Now: func() time.Time { return c.Issued },
	}
	_, bundle, err := attest.Record(t.Context(), evidence, policy)
	require.NoError(t, err)
	text, err := json.Marshal(bundle)
	require.NoError(t, err)
	report, err := parsed(t, text).Verify(t.Context(), parsed(t, text).Policy)
	require.NoError(t, err)
	assert.True(t, report.Verified)
}

func FuzzParseBundles(f *testing.F) {
	a := newAuthority(f)
	_, evidence, err := a.Certificate(spec())
	require.NoError(f, err)
	_, bundle, err := attest.Record(f.Context(), evidence, recordPolicy(f, a))
	require.NoError(f, err)
	text, err := json.Marshal(bundle)
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte(`{"format":"phala attestation bundle","version":1,"time":"2026-01-01T00:00:00Z","evidence":{},"policy":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		bundles, err := attest.ParseBundles(data)
		if err != nil {
			require.ErrorIs(t, err, attest.ErrBundle)
			return
		}
		for _, b := range bundles {
			again, err := json.Marshal(b)
			require.NoError(t, err)
			_, err = attest.ParseBundles(again)
			require.NoError(t, err, "what was read can be written and read")
			report, _ := b.Verify(t.Context(), attest.Policy{})
			require.False(t, report.Verified, "nothing here is signed by Intel")
		}
	})
}

// The digests of an image that was read from files are in the bundle, so that it is recognized without the files.
func TestBundle_Images(t *testing.T) {
	t.Parallel()
	var c struct {
		Quote      string
		EventLog   json.RawMessage `json:"event_log"`
		VMConfig   string          `json:"vm_config"`
		Collateral json.RawMessage
		Issued     time.Time `json:"collateral_issue"`
	}
	require.NoError(t, json.Unmarshal(recorded(t, "cases/dstack-tdx-lite-getquote.json"), &c))
	evidence := attest.Evidence{Name: "lite", VMConfig: c.VMConfig}
	var err error
	evidence.Quote, err = hex.DecodeString(c.Quote)
	require.NoError(t, err)
	evidence.EventLog, err = attest.ParseEventLog(c.EventLog)
	require.NoError(t, err)
	collateral, err := attest.ParseCollateral(c.Collateral)
	require.NoError(t, err)
	config, err := osimage.ParseVMConfig(c.VMConfig)
	require.NoError(t, err)
	read, err := osimage.FromMaterial(*config.Material)
	require.NoError(t, err)
	events, err := attest.ReadBootEvents(evidence.EventLog)
	require.NoError(t, err)
	for name, image := range map[string]*osimage.Image{"read": read, "by its hash": {Hash: read.Hash, Version: "0.6.0"}} {
		policy := attest.Policy{
			ComposeHashes: []compose.Hash{events.ComposeHash}, Images: []*osimage.Image{image},
			Collateral: attest.OfflineCollateral(collateral), Now: func() time.Time { return c.Issued },
		}
		report, bundle, err := attest.Record(t.Context(), evidence, policy)
		require.Equal(t, attest.Passed, report.Check(attest.CheckMeasurements).Outcome, "%s: %v", name, err)
		text, err := json.Marshal(bundle)
		require.NoError(t, err)
		again := parsed(t, text)
		report, err = again.Verify(t.Context(), again.Policy)
		require.Equal(t, attest.Passed, report.Check(attest.CheckMeasurements).Outcome, "%s: %v", name, err)

		again.Evidence.VMConfig = ""
		report, _ = again.Verify(t.Context(), again.Policy)
		want := map[string]attest.Outcome{"read": attest.Passed, "by its hash": attest.NotPossible}[name]
		assert.Equal(t, want, report.Check(attest.CheckMeasurements).Outcome, name)
	}
	read.Development = true
	policy := attest.Policy{Images: []*osimage.Image{read}, Collateral: attest.OfflineCollateral(collateral), Now: func() time.Time { return c.Issued }}
	_, bundle, err := attest.Record(t.Context(), evidence, policy)
	require.ErrorIs(t, err, attest.ErrDevelopmentOS)
	text, err := json.Marshal(bundle)
	require.NoError(t, err)
	again := parsed(t, text)
	_, err = again.Verify(t.Context(), again.Policy)
	assert.ErrorIs(t, err, attest.ErrDevelopmentOS, "a development image stays one in a bundle")
}
