package attest_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// readVectors reads our own vectors and, where a directory of more is known, those as well.
func readVectors[T any](t *testing.T, name string) []T {
	t.Helper()
	dir := os.Getenv("PHALA_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "vectors")
	}
	var all []T
	for _, file := range []string{filepath.Join("testdata", name), filepath.Join(dir, name)} {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		var v struct{ Vectors []T }
		require.NoError(t, json.Unmarshal(data, &v))
		require.NotEmpty(t, v.Vectors, file)
		all = append(all, v.Vectors...)
	}
	if len(all) == 0 {
		t.Skip("no vectors at hand")
	}
	return all
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

func TestEventDigestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors[struct {
		Version  int
		Event    string
		Payload  string `json:"payload_hex"`
		Preimage string `json:"preimage_hex"`
		Digest   string
	}](t, "event_digest.json") {
		preimage, err := attest.RuntimePreimage(v.Version, v.Event, bytesOf(t, v.Payload))
		require.NoError(t, err)
		assert.Equal(t, v.Preimage, hex.EncodeToString(preimage), v.Event)
		digest, err := attest.RuntimeDigest(v.Version, v.Event, bytesOf(t, v.Payload))
		require.NoError(t, err)
		assert.Equal(t, v.Digest, digest.String(), v.Event)
	}
}

func TestMRConfigIDVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors[struct {
		ID      string
		Version int
		Inputs  struct {
			ComposeHash   compose.Hash `json:"compose_hash"`
			AppID         *kms.AppID   `json:"app_id"`
			KeyProvider   string       `json:"key_provider"`
			KeyProviderID string       `json:"key_provider_id"`
			Document      string
		}
		Want attest.Measurement `json:"mr_config_id"`
	}](t, "mr_config_id.json") {
		var got attest.Measurement
		switch v.Version {
		case 1:
			got = attest.MRConfigIDV1(v.Inputs.ComposeHash)
		case 2:
			var err error
			got, err = attest.MRConfigIDV2(v.Inputs.ComposeHash, *v.Inputs.AppID, attest.KeyProvider{Name: v.Inputs.KeyProvider, ID: v.Inputs.KeyProviderID})
			require.NoError(t, err)
		case 3:
			got = attest.MRConfigIDV3([]byte(v.Inputs.Document))
			d, err := attest.ParseConfigDocument([]byte(v.Inputs.Document))
			require.NoError(t, err, v.ID)
			assert.Equal(t, v.Inputs.Document, string(d.Canonical()))
		default:
			t.Fatalf("version %d", v.Version)
		}
		assert.Equal(t, v.Want, got, v.ID)
	}
}

func TestReportDataVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors[struct {
		Kind, Tag  string
		Content    string `json:"content_hex"`
		ReportData string `json:"report_data"`
	}](t, "report_data.json") {
		got := attest.TaggedReportData(v.Tag, bytesOf(t, v.Content))
		if v.Tag == "" {
			var err error
			got, err = attest.RawReportData(bytesOf(t, v.Content))
			require.NoError(t, err)
		}
		assert.Equal(t, v.ReportData, hex.EncodeToString(got[:]), v.Kind)
	}
}

func TestRealAppCompose(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors[struct {
		Hash compose.Hash `json:"attested_compose_hash"`
		Text string       `json:"app_compose"`
	}](t, "real_app_compose.json") {
		assert.Equal(t, v.Hash, compose.Sum([]byte(v.Text)))
	}
}

// TestRTMRReplayVectors replays the logs of real hardware against its quotes.
func TestRTMRReplayVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors[struct {
		ID     string
		Quote  string `json:"quote_hex"`
		Fields struct {
			MRTD         attest.Measurement `json:"mr_td"`
			MRConfigID   attest.Measurement `json:"mr_config_id"`
			MRSEAM       attest.Measurement `json:"mr_seam"`
			TDAttributes string             `json:"td_attributes"`
			XFAM         string
			ReportData   string `json:"report_data"`
		} `json:"quote_fields"`
		Log   []openapi.EventLogEntry `json:"event_log"`
		Steps []struct {
			After attest.Measurement `json:"rtmr3_after"`
		} `json:"rtmr3_steps"`
		Extracted struct {
			AppID       kms.AppID    `json:"app_id"`
			ComposeHash compose.Hash `json:"compose_hash"`
			InstanceID  string       `json:"instance_id"`
			OSImage     string       `json:"os_image_hash_event"`
			KeyProvider string       `json:"key_provider_json"`
		}
	}](t, "rtmr_replay.json") {
		q, err := attest.ParseQuote(bytesOf(t, v.Quote))
		require.NoError(t, err, v.ID)
		assert.Equal(t, v.Fields.MRTD, q.MRTD)
		assert.Equal(t, v.Fields.MRSEAM, q.MRSEAM)
		assert.Equal(t, v.Fields.MRConfigID, q.MRConfigID)
		assert.Equal(t, v.Fields.TDAttributes, hex.EncodeToString(q.TDAttributes[:]))
		assert.Equal(t, v.Fields.XFAM, hex.EncodeToString(q.XFAM[:]))
		assert.Equal(t, v.Fields.ReportData, hex.EncodeToString(q.ReportData[:]))

		text, err := json.Marshal(v.Log)
		require.NoError(t, err)
		log, err := attest.ParseEventLog(text)
		require.NoError(t, err)
		registers, err := attest.Replay(log)
		require.NoError(t, err)
		assert.Equal(t, q.RTMR, registers, v.ID)

		// The register after each of its events.
		step := 0
		for i, e := range log {
			if e.IMR == 3 {
				registers, err := attest.Replay(log[:i+1])
				require.NoError(t, err)
				assert.Equal(t, v.Steps[step].After, registers[3])
				step++
			}
		}
		assert.Len(t, v.Steps, step)

		events, err := attest.ReadBootEvents(log)
		require.NoError(t, err)
		assert.Equal(t, v.Extracted.AppID, events.AppID)
		assert.Equal(t, v.Extracted.ComposeHash, events.ComposeHash)
		assert.Equal(t, v.Extracted.InstanceID, events.InstanceID)
		assert.Equal(t, v.Extracted.OSImage, events.OSImageHash)
		var provider attest.KeyProvider
		require.NoError(t, json.Unmarshal([]byte(v.Extracted.KeyProvider), &provider))
		assert.Equal(t, &provider, events.KeyProvider)

		// The quote of real hardware, with its log, without collateral and compose text.
		r, err := attest.Verify(t.Context(), attest.Evidence{Quote: bytesOf(t, v.Quote), EventLog: log}, attest.Policy{
			ComposeHashes: []compose.Hash{v.Extracted.ComposeHash}, AppID: v.Extracted.AppID,
			Waive: []attest.CheckName{
				attest.CheckCollateral, attest.CheckCollateralTime, attest.CheckRevocation, attest.CheckTDXModule,
				attest.CheckQEIdentity, attest.CheckTCBStatus, attest.CheckMRConfigID,
			},
		})
		require.NoError(t, err, v.ID)
		assert.Equal(t, attest.Passed, r.Check(attest.CheckSignature).Outcome)
		want := attest.Passed
		if v.Fields.MRConfigID.IsZero() {
			want = attest.NotAsked // RTMR3 and the expected compose hash bind the app
		}
		assert.Equal(t, want, r.Check(attest.CheckMRConfigID).Outcome)
	}
}
