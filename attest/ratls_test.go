package attest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// serve runs an app behind a certificate. Its policy is that of the spec, without a nonce.
func serve(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "from the app")
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, peer *attest.Peer, url string) (string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: peer.TLSConfig()}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestRATLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	certificate, evidence, err := a.Certificate(spec())
	require.NoError(t, err)
	url := serve(t, certificate)

	t.Run("that app", func(t *testing.T) {
		t.Parallel()
		var report *attest.Report
		body, err := get(t, &attest.Peer{Policy: strict(t, a), Report: func(r *attest.Report) { report = r }}, url)
		require.NoError(t, err)
		assert.Equal(t, "from the app", body)
		assert.Equal(t, attest.Passed, report.Check(attest.CheckReportData).Outcome)
	})
	t.Run("evidence from elsewhere", func(t *testing.T) {
		t.Parallel()
		_, err := get(t, &attest.Peer{Policy: strict(t, a), Evidence: func(context.Context, *x509.Certificate) (attest.Evidence, error) {
			return evidence, nil
		}}, url)
		require.NoError(t, err)
	})
	t.Run("another app", func(t *testing.T) {
		t.Parallel()
		p := strict(t, a)
		p.AppID = kms.AppID{9}
		_, err := get(t, &attest.Peer{Policy: p}, url)
		requireOnly(t, err, attest.ErrAppID)
	})
	t.Run("a true quote that signs another key", func(t *testing.T) {
		t.Parallel()
		other, _, err := a.Certificate(spec())
		require.NoError(t, err)
		// The messenger has a key of its own and the evidence of the app.
		_, err = get(t, &attest.Peer{Policy: strict(t, a), Evidence: func(context.Context, *x509.Certificate) (attest.Evidence, error) {
			return evidence, nil
		}}, serve(t, other))
		requireOnly(t, err, attest.ErrReportData)
	})
	t.Run("a certificate without quote", func(t *testing.T) {
		t.Parallel()
		plain := httptest.NewUnstartedServer(http.NotFoundHandler())
		plain.Config.ErrorLog = log.New(io.Discard, "", 0)
		plain.StartTLS()
		t.Cleanup(plain.Close)
		p := strict(t, a)
		p.Now = nil
		_, err := get(t, &attest.Peer{Policy: p}, plain.URL)
		require.ErrorIs(t, err, attest.ErrNoQuote)
	})
	t.Run("as the other hook", func(t *testing.T) {
		t.Parallel()
		peer := &attest.Peer{Policy: strict(t, a)}
		require.NoError(t, peer.VerifyPeerCertificate(certificate.Certificate, nil))
		require.Error(t, peer.VerifyPeerCertificate(nil, nil))
		require.Error(t, peer.VerifyPeerCertificate([][]byte{{1}}, nil))
		require.Error(t, peer.VerifyConnection(tls.ConnectionState{}))
	})
	t.Run("expired certificate", func(t *testing.T) {
		t.Parallel()
		p := strict(t, a)
		p.Now = func() time.Time { return now().AddDate(20, 0, 0) }
		_, err := get(t, &attest.Peer{Policy: p}, url)
		require.ErrorContains(t, err, "valid from")
	})
}

// recorded reads a file of real hardware's evidence; tests skip if the folder is absent.
func recorded(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "evidence", name))
	if err != nil {
		tb.Skip("no recorded evidence here")
	}
	return data
}

// simulatorAttestation is the SCALE attestation that dstack's simulator hands out: real hardware, a full log.
func simulatorAttestation(tb testing.TB) []byte {
	tb.Helper()
	var c struct {
		Extra struct {
			SCALE string `json:"scale_hex"`
		} `json:"extra"`
	}
	require.NoError(tb, json.Unmarshal(recorded(tb, "cases/dstack-sim-attestation-bin.json"), &c))
	raw, err := hex.DecodeString(c.Extra.SCALE)
	require.NoError(tb, err)
	return raw
}

func replays(t *testing.T, e attest.Evidence, registers ...int) {
	t.Helper()
	q, err := attest.ParseQuote(e.Quote)
	require.NoError(t, err)
	replayed, err := attest.Replay(e.EventLog)
	require.NoError(t, err)
	for _, i := range registers {
		assert.Equal(t, q.RTMR[i], replayed[i], "RTMR%d", i)
	}
}

func TestFromAttestation_RealSCALE(t *testing.T) {
	t.Parallel()
	raw := simulatorAttestation(t)
	e, err := attest.FromAttestation(raw)
	require.NoError(t, err)
	replays(t, e, 0, 1, 2, 3)
	want, err := attest.ParseEventLog(recorded(t, "dstack-sim-attestation-bin.log.json"))
	require.NoError(t, err)
	require.Len(t, e.EventLog, len(want))
	for i := range want {
		assert.Equal(t, want[i].Digest, e.EventLog[i].Digest)
		assert.Equal(t, want[i].Name, e.EventLog[i].Name)
		assert.Equal(t, want[i].IMR, e.EventLog[i].IMR)
	}
	config, err := osimage.ParseVMConfig(e.VMConfig)
	require.NoError(t, err)
	assert.Equal(t, "dstack-0.6.0", config.Image)
	assert.Equal(t, uint64(16<<30), config.Memory)

	// The encoder of quotetest writes the very bytes that dstack wrote.
	again, err := quotetest.Attestation(e, quotetest.SCALE)
	require.NoError(t, err)
	assert.Equal(t, raw, again)
}

// A stripped log of dstack 0.6 replays to RTMR3; of RTMR0 it has the ACPI digests alone.
func TestFromAttestation_StrippedRealLog(t *testing.T) {
	t.Parallel()
	quote := recorded(t, "dstack-tdx-lite-attestation.quote")
	log, err := attest.ParseEventLog(recorded(t, "dstack-tdx-lite-attestation.log.json"))
	require.NoError(t, err)
	for _, form := range forms() {
		raw, err := quotetest.Attestation(attest.Evidence{Quote: quote, EventLog: log}, form)
		require.NoError(t, err)
		e, err := attest.FromAttestation(raw)
		require.NoError(t, err)
		assert.Equal(t, quote, e.Quote)
		replays(t, e, 3)
		require.Len(t, e.EventLog, len(log))
	}
}

func forms() []quotetest.AttestationForm {
	return []quotetest.AttestationForm{quotetest.SCALE, quotetest.MessagePack, quotetest.CBOR}
}

// All three encodings of the same evidence read alike, with digests of both forms.
func TestFromAttestation_FormsAgree(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, version := range []int{1, 2} {
		s := spec()
		s.LogVersion = version
		s.OSImage = quotetest.NewOSImage("a")
		want := sign(t, a, s)
		for _, form := range forms() {
			if form == quotetest.SCALE && version == 2 {
				continue // SCALE has no place for the version
			}
			raw, err := quotetest.Attestation(want, form)
			require.NoError(t, err)
			e, err := attest.FromAttestation(raw)
			require.NoError(t, err, "form %d", form)
			assert.Equal(t, want.Quote, e.Quote)
			assert.Equal(t, want.VMConfig, e.VMConfig)
			replays(t, e, 3)

			// Without the preimages, which follow from the rest.
			without := want
			without.EventLog = slices.Clone(want.EventLog)
			for i := range without.EventLog {
				without.EventLog[i].Preimage = nil
			}
			raw, err = quotetest.Attestation(without, form)
			require.NoError(t, err)
			e, err = attest.FromAttestation(raw)
			require.NoError(t, err)
			replays(t, e, 3)
		}
	}
}

// Without a log of RTMR3 of its own, the list of runtime events is that log.
func TestFromAttestation_RuntimeEventsAlone(t *testing.T) {
	t.Parallel()
	raw := attestationTree(t, func(m map[string]any) {
		platform := m["platform"].(map[any]any)["data"].(map[any]any)
		platform["event_log"] = []any{}
	})
	e, err := attest.FromAttestation(raw)
	require.NoError(t, err)
	replays(t, e, 3)
}

func TestFromAttestation_ConfigDocument(t *testing.T) {
	t.Parallel()
	e := sign(t, newAuthority(t), spec())
	e.VMConfig = `{"mr_config":"{\"version\":3}"}`
	raw, err := quotetest.Attestation(e, quotetest.SCALE)
	require.NoError(t, err)
	read, err := attest.FromAttestation(raw)
	require.NoError(t, err)
	assert.Equal(t, `{"version":3}`, read.ConfigDocument)
}

// attestationTree is a CBOR attestation after a change of its members.
func attestationTree(t testing.TB, change func(m map[string]any)) []byte {
	t.Helper()
	raw, err := quotetest.Attestation(sign(t, newAuthority(t), spec()), quotetest.CBOR)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, cbor.Unmarshal(raw, &m))
	change(m)
	raw, err = cbor.Marshal(m)
	require.NoError(t, err)
	return raw
}

func TestFromAttestation_Refuses(t *testing.T) {
	t.Parallel()
	e := sign(t, newAuthority(t), spec())
	var raw [4][]byte
	for _, form := range forms() {
		var err error
		raw[form], err = quotetest.Attestation(e, form)
		require.NoError(t, err)
	}
	scale := raw[quotetest.SCALE]
	tree := func(change func(m map[string]any)) []byte { return attestationTree(t, change) }
	platform := func(m map[string]any) map[any]any { return m["platform"].(map[any]any) }
	stack := func(m map[string]any) map[any]any { return m["stack"].(map[any]any)["data"].(map[any]any) }
	event := func(m map[string]any, i int) map[any]any {
		return platform(m)["data"].(map[any]any)["event_log"].([]any)[i].(map[any]any)
	}
	replace := func(b []byte, old, with string) []byte {
		require.Contains(t, string(b), old)
		return []byte(strings.Replace(string(b), old, with, 1))
	}
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                          {nil, "0 bytes"},
		"too much":                         {make([]byte, attest.MaxAttestation+1), "want 1 to"},
		"JSON":                             {[]byte("{}"), "first byte is 0x7b"},
		"SCALE: another platform":          {append([]byte{0, 3}, scale[2:]...), "platform 3, want 0 (TDX)"},
		"SCALE: bytes after its end":       {append(slices.Clone(scale), 0), "1 bytes after its end"},
		"SCALE: a length beyond the end":   {[]byte{0, 0, 0xfe, 0xff, 0xff, 0x00}, "shorter than it announces"},
		"SCALE: a length of 8 bytes":       {[]byte{0, 0, 0x13, 0, 0, 0, 0, 0, 0, 0, 0}, "more than 4 bytes"},
		"SCALE: a length not the shortest": {[]byte{0, 0, 0x01, 0x00, 0}, "want the shortest form"},
		"SCALE: too many events":           {[]byte{0, 0, 0, 0xfe, 0xff, 0x03, 0x00}, "shorter than it announces"},
		"SCALE: only a version":            {[]byte{0}, "shorter than it announces"},
		"SCALE: text that is not UTF-8":    {replace(scale, "system-preparing", "\xff\xfestem-preparing"), "not UTF-8"},
		"SCALE: register 9":                {replace(scale, "\x03\x00\x00\x00\x01\x00\x00\x08", "\x09\x00\x00\x00\x01\x00\x00\x08"), "register 9"},
		"MessagePack: bytes after its end": {append(slices.Clone(raw[quotetest.MessagePack]), 0), "1 bytes after its end"},
		"MessagePack: cut":                 {raw[quotetest.MessagePack][:500], "shorter than it announces"},
		"MessagePack: a float":             {[]byte{0x81, 0xa1, 'a', 0xca, 0, 0, 0, 0}, "a value of type 0xca"},
		"MessagePack: a negative number":   {[]byte{0x81, 0xa1, 'a', 0xff}, "a value of type 0xff"},
		"MessagePack: an extension":        {[]byte{0x81, 0xa1, 'a', 0xd4, 1, 1}, "a value of type 0xd4"},
		"MessagePack: a list too long":     {[]byte{0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff}, "shorter than it announces"},
		"MessagePack: too deep":            {append([]byte{0x81, 0xa1, 'a'}, []byte(strings.Repeat("\x91", 100))...), "nested too deeply"},
		"CBOR: bytes after its end":        {append(slices.Clone(raw[quotetest.CBOR]), 0), "extraneous"},
		"CBOR: cut":                        {raw[quotetest.CBOR][:500], "EOF"},
		"CBOR: an indefinite map":          {[]byte{0xbf, 0xff}, "indefinite"},
		"CBOR: a member twice":             {[]byte{0xa2, 0x67, 'v', 'e', 'r', 's', 'i', 'o', 'n', 1, 0x67, 'v', 'e', 'r', 's', 'i', 'o', 'n', 1}, "duplicate"},
		"another version":                  {tree(func(m map[string]any) { m["version"] = 2 }), "version 2, want 1"},
		"another platform":                 {tree(func(m map[string]any) { platform(m)["kind"] = "sev-snp" }), `platform "sev-snp", want "tdx"`},
		"another stack":                    {tree(func(m map[string]any) { m["stack"].(map[any]any)["kind"] = "x" }), `stack "x"`},
		"register 4":                       {tree(func(m map[string]any) { event(m, 0)["imr"] = 4 }), "register 4"},
		"a digest of version 3":            {tree(func(m map[string]any) { event(m, 25)["version"] = 3 }), "digest of version 3"},
		"a preimage that is not digits": {tree(func(m map[string]any) {
			event(m, 25)["version"], event(m, 25)["preimage"] = 2, "x"
		}), "want hexadecimal digits"},
		"a quote as text":          {tree(func(m map[string]any) { platform(m)["data"].(map[any]any)["quote"] = "00" }), "platform"},
		"a number beyond a byte":   {tree(func(m map[string]any) { platform(m)["data"].(map[any]any)["quote"] = []any{256} }), "platform"},
		"a config that is not":     {tree(func(m map[string]any) { stack(m)["config"] = "x" }), "vm_config"},
		"a config of another type": {tree(func(m map[string]any) { stack(m)["config"] = 1 }), "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := attest.FromAttestation(tt.data)
			require.ErrorContains(t, err, "attestation")
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// A new member is no reason to refuse a newer guest: nothing counts but what the quote proves.
func TestFromAttestation_UnknownMember(t *testing.T) {
	t.Parallel()
	e, err := attest.FromAttestation(attestationTree(t, func(m map[string]any) { m["more"] = []any{1, nil, true} }))
	require.NoError(t, err)
	replays(t, e, 3)
}

// The certificate in a guest's answer has the evidence of both generations, with what the image check takes.
func TestFromInfo_BothGenerations(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, form := range []quotetest.AttestationForm{quotetest.NoAttestation, quotetest.SCALE, quotetest.MessagePack} {
		s := spec()
		s.Attestation, s.OSImage = form, quotetest.NewOSImage("a")
		certificate, evidence, err := a.Certificate(s)
		require.NoError(t, err)
		info := map[string]any{"app_cert": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))}
		if form == quotetest.NoAttestation {
			info["vm_config"] = evidence.VMConfig
		}
		body, err := json.Marshal(info)
		require.NoError(t, err)
		e, err := attest.FromInfo(body)
		require.NoError(t, err)
		assert.Equal(t, evidence.VMConfig, e.VMConfig)
		p := a.Policy()
		p.ComposeHashes = []compose.Hash{compose.Sum([]byte(appCompose))}
		p.Images = []*osimage.Image{byHash(t, s.OSImage)}
		_, err = attest.Verify(t.Context(), e, p)
		require.NoError(t, err, "form %d", form)
	}
}

// Guests of both generations are verified by their certificates, and so is who pretends to be one.
func TestPeer_BothGenerations(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for name, form := range map[string]quotetest.AttestationForm{
		"quote and log": quotetest.NoAttestation, "SCALE": quotetest.SCALE, "MessagePack": quotetest.MessagePack, "CBOR": quotetest.CBOR,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec()
			s.Attestation = form
			certificate, _, err := a.Certificate(s)
			require.NoError(t, err)
			url := serve(t, certificate)
			var report *attest.Report
			body, err := get(t, &attest.Peer{Policy: strict(t, a), Report: func(r *attest.Report) { report = r }}, url)
			require.NoError(t, err)
			assert.Equal(t, "from the app", body)
			if form != quotetest.NoAttestation {
				assert.Contains(t, report.Check(attest.CheckEventLog).Detail, "stripped of RTMR0, RTMR1, RTMR2")
			}

			// A certificate whose holder shows the evidence of the app's, which signs another key.
			imposter, _, err := a.Certificate(s)
			require.NoError(t, err)
			_, err = get(t, &attest.Peer{Policy: strict(t, a), Evidence: func(context.Context, *x509.Certificate) (attest.Evidence, error) {
				real, err := x509.ParseCertificate(certificate.Certificate[0])
				require.NoError(t, err)
				return attest.FromCertificate(real)
			}}, serve(t, imposter))
			requireOnly(t, err, attest.ErrReportData)

			// The compose hash of another app.
			p := strict(t, a)
			p.ComposeHashes = p.ComposeHashes[:1:1]
			p.ComposeHashes[0][0] ^= 1
			_, err = get(t, &attest.Peer{Policy: p}, url)
			requireOnly(t, err, attest.ErrComposeHash)
		})
	}
}

// An event that is added, removed or changed in a stripped log does not replay.
func TestVerify_StrippedLogIsBound(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s := spec()
	s.OSImage = quotetest.NewOSImage("a")
	e := sign(t, a, s)
	e.EventLog = quotetest.Strip(e.EventLog)
	p := a.Policy()
	r, err := attest.Verify(t.Context(), e, p)
	require.NoError(t, err)
	assert.Contains(t, r.Check(attest.CheckEventLog).Detail, "RTMR3; the log is stripped of RTMR0, RTMR1, RTMR2")
	for i := range e.EventLog {
		removed := e
		removed.EventLog = slices.Delete(slices.Clone(e.EventLog), i, i+1)
		_, err := attest.Verify(t.Context(), removed, p)
		require.Error(t, err, "without event %d (%s)", i, e.EventLog[i].Name)
		require.ErrorIs(t, err, attest.ErrReplay)
	}
	// With other events of RTMR0 beside the ACPI digests, the log claims to be whole, and must replay.
	added := e
	digest := make([]byte, 48)
	added.EventLog = append([]attest.Event{{IMR: 0, Type: 4, Digest: digest}}, e.EventLog...)
	_, err = attest.Verify(t.Context(), added, p)
	require.ErrorIs(t, err, attest.ErrReplay)
	added.EventLog[0].IMR = 1
	_, err = attest.Verify(t.Context(), added, p)
	require.ErrorIs(t, err, attest.ErrReplay)
	swapped := e
	swapped.EventLog = slices.Clone(e.EventLog)
	swapped.EventLog[0], swapped.EventLog[1] = swapped.EventLog[1], swapped.EventLog[0]
	_, err = attest.Verify(t.Context(), swapped, p)
	require.ErrorIs(t, err, attest.ErrReplay, "the names tell which ACPI digest is which")
}

func FuzzFromAttestation(f *testing.F) {
	a, err := quotetest.New(quotetest.WithNow(now))
	require.NoError(f, err)
	s := quotetest.Spec{LogVersion: 2, OSImage: quotetest.NewOSImage("a")}
	e, err := a.Evidence(s)
	require.NoError(f, err)
	for _, form := range forms() {
		if raw, err := quotetest.Attestation(e, form); err == nil {
			f.Add(raw)
		}
	}
	e, err = a.Evidence(quotetest.Spec{})
	require.NoError(f, err)
	raw, err := quotetest.Attestation(e, quotetest.SCALE)
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte{0xdf, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := attest.FromAttestation(data)
		if err != nil {
			return
		}
		for _, event := range e.EventLog {
			require.GreaterOrEqual(t, event.IMR, 0)
			require.LessOrEqual(t, event.IMR, 3)
		}
		if data[0] != 0 {
			return
		}
		// SCALE has one encoding for each value, except for the runtime events and the report data, which are not read.
		if _, err := attest.ParseQuote(e.Quote); err == nil {
			again, err := quotetest.Attestation(e, quotetest.SCALE)
			require.NoError(t, err)
			read, err := attest.FromAttestation(again)
			require.NoError(t, err)
			require.Equal(t, e, read)
		}
	})
}
