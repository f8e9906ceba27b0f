package attest_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
)

// recordedDir has evidence that others recorded on real machines. It stands beside the checkout, and is not part of it.
var recordedDir = filepath.Join("..", "..", "shared", "evidence")

// recordedCase is a case of that directory.
type recordedCase struct {
	Quote    string
	EventLog json.RawMessage `json:"event_log"`
	TCBInfo  *struct {
		AppCompose string `json:"app_compose"`
		Device     string `json:"device_id"`
	} `json:"tcb_info"`
	Info       json.RawMessage
	Collateral json.RawMessage
	Issued     time.Time `json:"collateral_issue"`
}

func readRecorded(t *testing.T, name string) recordedCase {
	t.Helper()
	var c recordedCase
	readJSON(t, filepath.Join("cases", name+".json"), &c)
	return c
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(recordedDir, name))
	if os.IsNotExist(err) {
		t.Skip("no recorded evidence at hand")
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

func (c *recordedCase) evidence(t *testing.T) attest.Evidence {
	t.Helper()
	var e attest.Evidence
	var err error
	e.Quote, err = attest.DecodeQuote([]byte(c.Quote))
	require.NoError(t, err)
	if len(c.EventLog) > 0 && string(c.EventLog) != "null" {
		e.EventLog, err = attest.ParseEventLog(c.EventLog)
		require.NoError(t, err)
	}
	if c.TCBInfo != nil {
		e.AppCompose = c.TCBInfo.AppCompose
		if c.TCBInfo.Device != "" {
			e.Device, err = kms.ParseDeviceID(c.TCBInfo.Device)
			require.NoError(t, err)
		}
	}
	return e
}

func (c *recordedCase) policy(t *testing.T) attest.Policy {
	t.Helper()
	p := attest.Policy{Now: func() time.Time { return c.Issued }}
	collateral, err := attest.ParseCollateral(c.Collateral)
	require.NoError(t, err)
	p.Collateral = attest.OfflineCollateral(collateral)
	return p
}

// TestRecorded_Verifies: what real machines of every kind showed passes under the default policy.
func TestRecorded_Verifies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		provider string
		second   string // what go-tdx-guest could judge
		stated   string // what the report tells of the device id that the guest stated
	}{
		"mpc-2026-08-14-50328c": {
			provider: "local-sgx", second: "agrees about the signatures", stated: "the SHA-256 of nothing, which identifies no machine",
		},
		"mpc-2026-01-28-832c32": {provider: "local-sgx", second: "agrees about the signatures, the collateral and revocation"},
		"solver-alice": {
			provider: "kms", second: "agrees about the signatures, the collateral and revocation",
			stated: "the guest states e5a0c70bb6503de2d31c11d85914fe3776ed5b33a078ed856327c371a60fe0fd",
		},
		"private-ml-sdk-sample": {provider: "kms", second: "agrees about the signatures, the collateral and revocation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := readRecorded(t, name)
			e := c.evidence(t)
			r, err := attest.Verify(t.Context(), e, c.policy(t))
			require.NoError(t, err)
			assert.Equal(t, attest.UpToDate, r.Attested.TCB.Status())
			assert.Empty(t, r.Attested.TCB.Advisories())
			assert.Equal(t, tt.provider, r.Attested.KeyProvider.Name)
			assert.Equal(t, attest.Passed, r.Check(attest.CheckSecondOpinion).Outcome)
			assert.Equal(t, "go-tdx-guest "+tt.second, r.Check(attest.CheckSecondOpinion).Detail)
			assert.Contains(t, r.Check(attest.CheckDevice).Detail, tt.stated)

			// Pinning what the report shows, by either device id.
			for _, device := range []kms.DeviceID{r.Attested.Devices.PPID, r.Attested.Devices.UserData} {
				p := c.policy(t)
				p.AppID, p.ComposeHashes = r.Attested.AppID, []compose.Hash{r.Attested.ComposeHash}
				p.Devices, p.KeyProviders = []kms.DeviceID{device}, []attest.KeyProvider{*r.Attested.KeyProvider}
				p.Advisories, p.MinTCBEvaluation = []string{}, r.Attested.TCB.Evaluation
				_, err = attest.Verify(t.Context(), e, p)
				require.NoError(t, err)
				p.Devices[0][0]++
				_, err = attest.Verify(t.Context(), e, p)
				requireOnly(t, err, attest.ErrDevice)
			}
		})
	}
}

func TestRecorded_OutOfDate(t *testing.T) {
	t.Parallel()
	c := readRecorded(t, "nearcloud-2026-06-10-014855-0")
	e, p := c.evidence(t), c.policy(t)
	r, err := attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrTCBStatus)
	platform := r.Attested.TCB.Platform
	assert.Equal(t, attest.OutOfDate, platform.Status)
	for _, part := range []string{
		"platform OutOfDate since " + platform.Wanted.Format(time.DateOnly), "SVN 2, below 3", "Early Microcode Update",
		"INTEL-SA-", "Policy.OutOfDateGrace", "Policy.TCBStatuses with OutOfDate",
	} {
		assert.ErrorContains(t, err, part)
	}

	p.OutOfDateGrace = c.Issued.Sub(platform.Wanted)
	r, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)
	assert.Contains(t, r.Check(attest.CheckTCBStatus).Detail, "which the grace period of")
	p.OutOfDateGrace -= time.Second
	_, err = attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrTCBStatus)

	p.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.OutOfDate}
	_, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)
	p.MinTCBEvaluation = r.Attested.TCB.Evaluation + 1
	_, err = attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrTCBEvaluation)
}

// Without the text a report says so, and nothing that reads like a mismatch, unless the hash is expected anyway.
func TestRecorded_WithoutText(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nearcloud-2026-06-10-014855-2", "tinychat-2026"} {
		c := readRecorded(t, name)
		e, p := c.evidence(t), c.policy(t)
		p.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.OutOfDate}
		r, err := attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrComposeText)
		require.ErrorIs(t, err, attest.ErrNotPossible)
		assert.NotContains(t, err.Error(), "another app-compose")
		assert.ErrorContains(t, err, "the evidence has no app-compose text")

		p.ComposeHashes = []compose.Hash{r.Attested.ComposeHash}
		r, err = attest.Verify(t.Context(), e, p)
		require.NoError(t, err)
		assert.Equal(t, attest.NotAsked, r.Check(attest.CheckComposeText).Outcome)
	}
}

// A log of dstack 0.3 has no event that ends dstack's part, so that the app could have written any of it.
func TestRecorded_WithoutSystemReady(t *testing.T) {
	t.Parallel()
	c := readRecorded(t, "solver-2025-06")
	_, err := attest.ParseCollateral(c.Collateral)
	require.ErrorIs(t, err, attest.ErrCollateral)
	require.ErrorContains(t, err, "it has no revocation lists")

	_, err = attest.Verify(t.Context(), c.evidence(t), attest.Policy{
		Now: func() time.Time { return c.Issued }, Waive: []attest.CheckName{attest.CheckCollateral},
	})
	require.ErrorIs(t, err, attest.ErrMissingEvent)
	assert.ErrorContains(t, err, "system-ready, which dstack measures since version 0.4")
}

func TestRecorded_Version5(t *testing.T) {
	t.Parallel()
	for name, accepted := range map[string]bool{"gotdx-v5": true, "trustee-v5": false} {
		c := readRecorded(t, name)
		e, p := c.evidence(t), c.policy(t)
		r, err := attest.Verify(t.Context(), e, p)
		require.Error(t, err, "they are of other guests than dstack")
		for _, check := range []attest.CheckName{
			attest.CheckSignature, attest.CheckCollateral, attest.CheckCollateralTime, attest.CheckRevocation, attest.CheckTDXModule, attest.CheckQEIdentity,
		} {
			assert.Equal(t, attest.Passed, r.Check(check).Outcome, "%s: %s", name, check)
		}
		if accepted {
			assert.Equal(t, attest.UpToDate, r.Attested.TCB.Status())
		} else {
			assert.Contains(t, r.Check(attest.CheckTCBStatus).Detail, "below the lowest level that Intel lists: ")
		}
		// Header and body are signed; the rest signs.
		for at := 0; at < 48+6+648+4+128; at += 3 {
			flipped := e
			flipped.Quote = append([]byte(nil), e.Quote...)
			flipped.Quote[at] ^= 1 << (at % 8)
			r, err := attest.Verify(t.Context(), flipped, p)
			require.Error(t, err)
			if r.Check(attest.CheckQuote).Outcome == attest.Passed {
				assert.NotEqual(t, attest.Passed, r.Check(attest.CheckSignature).Outcome, "%s: byte %d", name, at)
			}
		}
	}
}

// The KMS's evidence binds its root keys. One of its certificates was damaged where it was recorded.
func TestRecorded_KMS(t *testing.T) {
	t.Parallel()
	var c struct {
		Quote, CA, K256 string
		EventLog        json.RawMessage `json:"event_log"`
	}
	readJSON(t, "kms-phala.json", &c)
	assert.Equal(t, attest.PhalaCentralRootCA, c.CA)
	assert.Equal(t, kms.PhalaCentralRootKey, "0x"+c.K256)
	ca, err := attest.ParseKMSRootCA(attest.PhalaCentralRootCA)
	require.NoError(t, err)
	root, err := kms.ParseRootKey(kms.PhalaCentralRootKey)
	require.NoError(t, err)

	quote, err := hex.DecodeString(c.Quote)
	require.NoError(t, err)
	log, err := attest.ParseEventLog(c.EventLog)
	require.NoError(t, err)
	data := attest.KMSReportData(ca, root)
	e := attest.Evidence{Quote: quote, EventLog: log}
	r, err := attest.Verify(t.Context(), e, attest.Policy{ReportData: &data})
	require.ErrorIs(t, err, attest.ErrQuoteSignature)
	assert.Equal(t, attest.Passed, r.Check(attest.CheckReportData).Outcome)
	assert.Contains(t, r.Check(attest.CheckSignature).Detail, "PCK chain: certificate 2 of 3")

	root[1]++
	data = attest.KMSReportData(ca, root)
	r, err = attest.Verify(t.Context(), e, attest.Policy{ReportData: &data})
	require.ErrorIs(t, err, attest.ErrReportData)
	assert.Equal(t, attest.Failed, r.Check(attest.CheckReportData).Outcome)
}

// The cloud's registry keeps quotes by a checksum that is not their SHA-256.
func TestRecorded_ChecksumOfTheRegistry(t *testing.T) {
	t.Parallel()
	var answer struct{ Checksum string }
	readJSON(t, "tinychat-phala-verify.json", &answer)
	c := readRecorded(t, "tinychat-2026")
	quote, err := attest.DecodeQuote([]byte(c.Quote))
	require.NoError(t, err)
	sum := compose.Sum(quote)
	assert.NotEqual(t, answer.Checksum, sum.String())
}

// What guest agents answered is read in the shapes in which it was recorded.
func TestRecorded_Info(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"nearcloud-2026-06-10-014855-0": "f550fdfb4eb8ad787c1bcd423f091cbb4a4431ae",
		"private-ml-sdk-sample":         "ab84a54bdaf082be00ea40e8e37bdeb5c15c58de",
	} {
		c := readRecorded(t, name)
		e, err := attest.FromInfo(c.Info)
		require.NoError(t, err)
		assert.NotEmpty(t, e.Quote, "the quote of the certificate")
		p := c.policy(t)
		p.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.OutOfDate}
		r, err := attest.Verify(t.Context(), e, p)
		require.NoError(t, err)
		assert.Equal(t, want, r.Attested.AppID.String())
		assert.Contains(t, r.Check(attest.CheckDevice).Detail, "the guest states "+r.Attested.Devices.UserData.String())
	}
}
