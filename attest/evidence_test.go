package attest_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/internal/cloudtext"
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

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

// numbers is a list of bytes as languages without a byte type write it.
func numbers(quote []byte) []int {
	list := make([]int, len(quote))
	for i, b := range quote {
		list[i] = int(b)
	}
	return list
}

func TestDecodeQuote_EveryForm(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{4, 5} {
		s := spec()
		s.QuoteVersion = version
		quote := sign(t, newAuthority(t), s).Quote
		digits := hex.EncodeToString(quote)
		wrapped := base64.StdEncoding.EncodeToString(quote)
		for i := 76; i < len(wrapped); i += 77 {
			wrapped = wrapped[:i] + "\n" + wrapped[i:]
		}
		for name, form := range map[string][]byte{
			"bytes": quote, "hex": []byte(digits), "upper case": []byte(strings.ToUpper(digits)), "0x": []byte("0x" + digits),
			"0X": []byte("0X" + digits), "white space": []byte("\n " + digits + "\r\n"), "zeros behind the text": append([]byte(digits), 0, 0),
			"base64": []byte(base64.StdEncoding.EncodeToString(quote)), "wrapped": []byte(wrapped),
			"without padding": []byte(base64.RawStdEncoding.EncodeToString(quote)), "URL": []byte(base64.URLEncoding.EncodeToString(quote)),
			"raw URL": []byte(base64.RawURLEncoding.EncodeToString(quote)),
			"string":  marshal(t, digits), "string of 0x": marshal(t, "0x"+digits), "string of base64": marshal(t, quote),
			"list": marshal(t, numbers(quote)), "GetQuote": marshal(t, map[string]any{"quote": digits, "event_log": "[]", "report_data": "00"}),
			"GetQuote with a list": marshal(t, map[string]any{"quote": numbers(quote)}),
			"Buffer":               marshal(t, map[string]any{"type": "Buffer", "data": numbers(quote)}),
		} {
			got, err := attest.DecodeQuote(form)
			require.NoError(t, err, name)
			assert.Equal(t, quote, got, name)
		}
		// A guest hands out its whole buffer.
		got, err := attest.DecodeQuote([]byte(digits + strings.Repeat("00", 3000)))
		require.NoError(t, err)
		q, err := attest.ParseQuote(got)
		require.NoError(t, err)
		assert.Equal(t, version, q.Version)
	}
	for name, form := range map[string]string{
		"nothing": "", "text": "a quote", "odd digits": "040", "null": "null", "empty string": `""`, "string in a string": `"\"0400\""`, "large numbers": "[256,0]",
		"negative": "[-1]", "object": "{}", "object in an object": `{"quote":{"quote":"0400"}}`, "short base64": "BAACgQ==",
	} {
		_, err := attest.DecodeQuote([]byte(form))
		require.ErrorContains(t, err, "want its bytes, hexadecimal digits", name)
	}
	_, err := attest.DecodeQuote(make([]byte, 1<<20))
	require.ErrorContains(t, err, "want at most")
}

// What older and newer servers and guests answer verifies alike.
func TestEvidence_EveryAnswer(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	want := sign(t, a, spec())
	p := strict(t, a)
	guest, err := quotetest.GuestInfo(want)
	require.NoError(t, err)
	quoted, err := quotetest.GetQuote(want)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "quote.json")
	require.NoError(t, os.WriteFile(file, quoted, 0o600))
	text, err := json.Marshal(want.AppCompose)
	require.NoError(t, err)
	for name, read := range map[string]func() (attest.Evidence, error){
		"old app": func() (attest.Evidence, error) {
			all, err := attest.FromApp(quotetest.OldAppAttestations(want))
			if err != nil {
				return attest.Evidence{}, err
			}
			return all[0], nil
		},
		"old CVM": func() (attest.Evidence, error) {
			answer := quotetest.CVMAttestation(want)
			answer.TCBInfo.AppCompose, answer.ComposeFile = "", openapi.RawJSON(text)
			return attest.FromCVM(answer)
		},
		"guest":     func() (attest.Evidence, error) { return attest.FromInfo(guest) },
		"GetQuote":  func() (attest.Evidence, error) { return attest.FromGetQuote(quoted) },
		"one file":  func() (attest.Evidence, error) { return attest.FromFiles(file, "", "") },
		"old guest": func() (attest.Evidence, error) { return attest.FromInfo(oldGuest(t, want)) },
	} {
		e, err := read()
		require.NoError(t, err, name)
		_, err = attest.Verify(t.Context(), e, p)
		require.NoError(t, err, name)
		if name != "GetQuote" && name != "one file" {
			assert.Equal(t, want.AppCompose, e.AppCompose, name)
		}
	}
	// An object is not the text that was hashed.
	answer := quotetest.CVMAttestation(want)
	answer.TCBInfo.AppCompose, answer.ComposeFile = "", openapi.RawJSON(want.AppCompose)
	e, err := attest.FromCVM(answer)
	require.NoError(t, err)
	assert.Empty(t, e.AppCompose)
}

func oldGuest(t *testing.T, e attest.Evidence) []byte {
	t.Helper()
	return marshal(t, map[string]any{
		"quote": hex.EncodeToString(e.Quote), "compose_file": e.AppCompose, "eventlog": attest.LogEntries(e.EventLog),
		"device_id": attest.DeviceID(nil).String(),
	})
}

// A reader that refuses something names the forms that it takes.
func TestReaders_NameTheirForms(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"app_certificates":[7]}`, `{"app_certificates":[{"quote":"no"}]}`, `{"quote":"no"}`, `{"tcb_info":[]}`, `{"tcb_info":"["}`, `{"eventlog":{}}`,
		`{"device_id":"1"}`, `[]`, `{"app_certificates":["no PEM"]}`,
	} {
		_, err := attest.FromInfo([]byte(body))
		require.Error(t, err, body)
		assert.Regexp(t, `want|PEM`, err.Error(), body)
	}
	for _, body := range []string{"", "[]", "{}", `{"quote":""}`, `{"quote":"00","event_log":"{}"}`} {
		_, err := attest.FromGetQuote([]byte(body))
		require.ErrorContains(t, err, "want", body)
	}
	for _, read := range []func([]byte) error{
		func(b []byte) error { _, err := attest.FromInfo(b); return err },
		func(b []byte) error { _, err := attest.FromGetQuote(b); return err },
		func(b []byte) error { _, err := attest.ParseGatewayInfo(b); return err },
	} {
		require.ErrorContains(t, read(make([]byte, 9<<20)), "want at most")
	}
}

// Errors contain an excerpt of what could not be read, on one line.
func TestReaders_BoundedErrors(t *testing.T) {
	t.Parallel()
	readers := map[string]func(string) error{
		"FromInfo":            func(s string) error { _, err := attest.FromInfo([]byte(s)); return err },
		"FromGetQuote":        func(s string) error { _, err := attest.FromGetQuote([]byte(s)); return err },
		"FromAttestation":     func(s string) error { _, err := attest.FromAttestation([]byte(s)); return err },
		"ParseEventLog":       func(s string) error { _, err := attest.ParseEventLog([]byte(s)); return err },
		"ParseCollateral":     func(s string) error { _, err := attest.ParseCollateral([]byte(s)); return err },
		"ParseGatewayInfo":    func(s string) error { _, err := attest.ParseGatewayInfo([]byte(s)); return err },
		"DecodeQuote":         func(s string) error { _, err := attest.DecodeQuote([]byte(s)); return err },
		"ParseBundles":        func(s string) error { _, err := attest.ParseBundles([]byte(s)); return err },
		"ParseConfigDocument": func(s string) error { _, err := attest.ParseConfigDocument([]byte(s)); return err },
		"ParseKMSRootCA":      func(s string) error { _, err := attest.ParseKMSRootCA(s); return err },
		"ParseOSImageHashes":  func(s string) error { _, err := attest.ParseOSImageHashes(s); return err },
		"ParseMeasurement":    func(s string) error { _, err := attest.ParseMeasurement(s); return err },
		"ParseVMConfig":       func(s string) error { _, err := osimage.ParseVMConfig(s); return err },
		"ParseDigests":        func(s string) error { _, err := osimage.ParseDigests([]byte(s)); return err },
		"FromMaterial": func(s string) error {
			_, err := osimage.FromMaterial(osimage.Material{ChecksumFile: []byte(s)})
			return err
		},
	}
	const long = 12_000
	hostile := "\nforged\x1b[2J\u009b1A\u202e" + strings.Repeat("A", long)
	quoted := string(marshal(t, hostile))
	number := strings.Repeat("1", long)
	texts := []string{hostile, quoted, number, "[" + quoted + "]", "[" + number + "]", "\x00" + hostile, "\x81\xd9" + hostile, "\xa1\x7a\x00\x01\x00\x00" + hostile}
	for _, value := range []string{quoted, number} {
		texts = append(texts, `{`+quoted+`:`+value+`}`)
		for _, member := range []string{
			"app_id", "device_id", "app_cert", "quote", "tcb_info", "eventlog", "event_log", "vm_config", "account_uri", "account_quote", "format", "version",
			"time", "tcb_info_issuer_chain", "root_ca_crl", "memory_size", "os_image_hash", "tdx_measurement", "image", "app_certificates", "quoted_hist_keys",
		} {
			for _, form := range []string{`{"%s":%s}`, `{"%s":[%s]}`, `{"%s":[{"quote":%[2]s,"public_key":%[2]s}]}`, `{"quote":"00","%s":[{"imr":%[2]s,"digest":%[2]s,"event":%[2]s}]}`} {
				texts = append(texts, fmt.Sprintf(form, member, value))
			}
		}
		for _, member := range []string{"imr", "event_type", "digest", "event", "event_payload", "version"} {
			texts = append(texts, fmt.Sprintf(`[{"imr":3,"%s":%s}]`, member, value))
		}
	}
	const head = `{"format":"phala attestation bundle","version":1,`
	texts = append(texts, head+quoted+`:1}`, head+`"time":`+quoted+`}`, head+`"evidence":{"app_id":`+quoted+`}}`, head+`"policy":{"images":[{`+quoted+`:1}]}}`)
	for name, read := range readers {
		for _, text := range texts {
			err := read(text)
			if err == nil {
				continue
			}
			assert.Less(t, len(err.Error()), 5000, "%s of %.80q", name, text)
			assert.NotContains(t, err.Error(), "\n", "%s of %.80q", name, text)
			assert.Equal(t, err.Error(), cloudtext.Escape(err.Error()), "%s of %.80q", name, text)
		}
	}
}
