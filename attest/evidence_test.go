package attest_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func TestFromCVM(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	want := sign(t, a, spec())
	answer := quotetest.CVMAttestation(want)
	for _, text := range []string{
		hex.EncodeToString(want.Quote), "0x" + hex.EncodeToString(want.Quote), base64.StdEncoding.EncodeToString(want.Quote),
	} {
		answer.AppCertificates[0].Quote = text
		e, err := attest.FromCVM(answer)
		require.NoError(t, err)
		_, err = attest.Verify(t.Context(), e, strict(t, a))
		require.NoError(t, err)
	}

	answer.AppCertificates[0].Quote = "zz"
	_, err := attest.FromCVM(answer)
	require.Error(t, err)
	answer.AppCertificates = nil
	e, err := attest.FromCVM(answer)
	require.NoError(t, err)
	_, err = attest.Verify(t.Context(), e, strict(t, a))
	requireOnly(t, err, attest.ErrQuote)
	_, err = attest.FromCVM(&openapi.CVMAttestation{Error: "not running"})
	require.ErrorContains(t, err, "not running")
	_, err = attest.FromCVM(nil)
	require.Error(t, err)
}

func TestFromApp(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	answer := quotetest.AppAttestations(sign(t, a, spec()), sign(t, a, spec()))
	// Older answers had the log beside.
	answer.Instances[1].EventLog, answer.Instances[1].TCBInfo.EventLog = answer.Instances[1].TCBInfo.EventLog, nil
	all, err := attest.FromApp(answer)
	require.NoError(t, err)
	reports, err := attest.VerifyAll(t.Context(), all, strict(t, a))
	require.NoError(t, err)
	assert.Len(t, reports, 2)

	// The list of instances is the messenger's, and so is the app id on top.
	answer.AppID = "00000000000000000000000000000000000000ff"
	all, err = attest.FromApp(answer)
	require.NoError(t, err)
	_, err = attest.VerifyAll(t.Context(), all, a.Policy())
	requireOnly(t, err, attest.ErrAppID)

	answer.Instances[0] = openapi.AppAttestation{Name: "stopped"}
	all, err = attest.FromApp(answer)
	require.NoError(t, err)
	_, err = attest.Verify(t.Context(), all[0], a.Policy())
	requireOnly(t, err, attest.ErrQuote)

	answer.Instances[1].Quote = "quote"
	_, err = attest.FromApp(answer)
	require.Error(t, err)
	_, err = attest.FromApp(nil)
	require.Error(t, err)
}

// info is what a guest answers to /prpc/Info.
func info(t *testing.T, a *quotetest.Authority, later ...openapi.EventLogEntry) []byte {
	t.Helper()
	certificate, e, err := a.Certificate(spec())
	require.NoError(t, err)
	tcb, err := json.Marshal(openapi.TCBInfo{AppCompose: e.AppCompose, EventLog: append(attest.LogEntries(e.EventLog), later...)})
	require.NoError(t, err)
	body, err := json.Marshal(map[string]string{
		"app_id": e.AppID.String(), "instance_id": e.InstanceID, "app_name": "web", "tcb_info": string(tcb),
		"app_cert": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})),
	})
	require.NoError(t, err)
	return body
}

func TestFromInfo(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := strict(t, a)
	p.ReportData = nil
	// The app has extended an event since its certificate was made.
	e, err := attest.FromInfo(info(t, a, attest.LogEntries([]attest.Event{event(t, "later", nil)})...))
	require.NoError(t, err)
	_, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)

	var fields map[string]string
	require.NoError(t, json.Unmarshal(info(t, a), &fields))
	// A certificate without quote: the caller may have one from elsewhere.
	delete(fields, "app_cert")
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	e, err = attest.FromInfo(body)
	require.NoError(t, err)
	e.Quote = sign(t, a, spec()).Quote
	_, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)

	for _, body := range []string{"", "[]", `{"app_id":"1"}`, `{"tcb_info":"{"}`, `{"tcb_info":7}`, `{"app_cert":"x"}`} {
		_, err := attest.FromInfo([]byte(body))
		require.Error(t, err, body)
	}
	_, err = attest.FromInfo(make([]byte, 9<<20))
	require.Error(t, err)
}

func TestFromFiles(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec())
	dir := t.TempDir()
	log, err := json.Marshal(attest.LogEntries(e.EventLog))
	require.NoError(t, err)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	logFile, composeFile := write("log.json", log), write("app-compose.json", []byte(e.AppCompose))
	for name, data := range map[string][]byte{
		"quote.bin": e.Quote, "quote.hex": []byte(hex.EncodeToString(e.Quote) + "\n"), "quote.0x": []byte("0x" + hex.EncodeToString(e.Quote)),
	} {
		got, err := attest.FromFiles(write(name, data), logFile, composeFile)
		require.NoError(t, err)
		_, err = attest.Verify(t.Context(), got, strict(t, a))
		require.NoError(t, err, name)
	}
	quote := write("quote", e.Quote)
	_, err = attest.FromFiles(quote, write("big.json", make([]byte, attest.MaxEventLog+1)), composeFile)
	require.ErrorContains(t, err, "more than")
	_, err = attest.FromFiles(quote, logFile, filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = attest.FromFiles(filepath.Join(dir, "missing"), logFile, "")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = attest.FromFiles(quote, composeFile, "")
	require.Error(t, err)
}

func TestParseEventLog(t *testing.T) {
	t.Parallel()
	e := sign(t, newAuthority(t), quotetest.Spec{LogVersion: 2})
	text, err := json.Marshal(attest.LogEntries(e.EventLog))
	require.NoError(t, err)
	quoted, err := json.Marshal(string(text))
	require.NoError(t, err)
	for _, form := range [][]byte{text, quoted} {
		log, err := attest.ParseEventLog(form)
		require.NoError(t, err)
		registers, err := attest.Replay(log)
		require.NoError(t, err)
		q, err := attest.ParseQuote(e.Quote)
		require.NoError(t, err)
		assert.Equal(t, q.RTMR, registers)
	}
	for _, bad := range []string{
		"", "{}", `"[`, `[{"imr":4}]`, `[{"imr":-1}]`, `[{"event_type":4294967296}]`, `[{"digest":"0"}]`, `[{"event_payload":"x"}]`,
	} {
		_, err := attest.ParseEventLog([]byte(bad))
		require.Error(t, err, bad)
	}
	_, err = attest.ParseEventLog(make([]byte, 100<<20))
	require.ErrorContains(t, err, "want at most")
}

func TestParseKMSRootCA(t *testing.T) {
	t.Parallel()
	key := quotetest.KMSRootCA()
	for _, text := range []string{
		hex.EncodeToString(key), "0x" + hex.EncodeToString(key),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key})),
	} {
		got, err := attest.ParseKMSRootCA(text)
		require.NoError(t, err)
		assert.Equal(t, key, got)
	}
	for _, text := range []string{"", "zz", "3059", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		_, err := attest.ParseKMSRootCA(text)
		require.Error(t, err, text)
	}
}
