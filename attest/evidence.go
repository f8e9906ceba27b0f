package attest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Evidence is what somebody hands over as proof. Nothing in it is believed. Make it with [FromCVM], [FromApp],
// [FromInfo], [FromFiles] or [FromCertificate], or fill it in.
type Evidence struct {
	// Name is for reports, such as the name of the CVM.
	Name string
	// Quote is the raw TDX quote.
	Quote []byte
	// EventLog are all its entries, in order.
	EventLog []Event
	// AppCompose is the exact app-compose text, never written anew; empty where there is none.
	AppCompose string
	// ConfigDocument is the exact text that the third form of mr_config_id binds; empty where there is none.
	ConfigDocument string
	// VMConfig is the JSON text in which the host describes the virtual machine and its image; empty if there is
	// none. It is needed to compute the image's registers, and cannot make another image look like that one.
	VMConfig string
	// OSImage is the name that the messenger states for the image, such as dstack-0.5.4 or dstack-dev-0.5.4. It
	// proves nothing, but a development image that is named so is refused. If empty, that of VMConfig counts.
	OSImage string
	// AppID and InstanceID are what the messenger states that this is about; zero and empty if it does not.
	AppID      kms.AppID
	InstanceID string
	// Device is the device id that the guest states, for the report alone; zero if it states none.
	Device kms.DeviceID
}

// FromCVM takes the evidence out of an answer about one CVM. The API gives its quote within the description
// of a certificate; the first one is taken. Where it gives none, Quote is left empty for the caller to fill.
func FromCVM(a *openapi.CVMAttestation) (Evidence, error) {
	if a == nil {
		return Evidence{}, errors.New("evidence: no attestation")
	}
	if a.Error != "" {
		return Evidence{}, fmt.Errorf("evidence of %q: the cloud has none: %.200q", a.Name, a.Error)
	}
	e := Evidence{Name: a.Name}
	return e, errors.Join(e.fillQuote("", a.AppCertificates), e.fillTCBInfo(a.TCBInfo, nil))
}

// FromApp takes the evidence out of an answer about an app, one for each instance. An instance that is not
// running has none, which [Verify] then says.
func FromApp(a *openapi.AppAttestations) ([]Evidence, error) {
	if a == nil {
		return nil, errors.New("evidence: no attestations")
	}
	all := make([]Evidence, len(a.Instances))
	for i := range a.Instances {
		instance := &a.Instances[i]
		e := &all[i]
		*e = Evidence{Name: instance.Name, InstanceID: instance.InstanceID, OSImage: instance.ImageVersion}
		err := errors.Join(e.fillQuote(instance.Quote, instance.AppCertificates), e.fillTCBInfo(instance.TCBInfo, instance.EventLog))
		if err == nil && a.AppID != "" {
			e.AppID, err = kms.ParseAppID(a.AppID)
		}
		if err != nil {
			return nil, fmt.Errorf("evidence of instance %d (%q): %w", i, instance.Name, err)
		}
	}
	return all, nil
}

// maxInfo bounds an answer of a guest agent, in bytes.
const maxInfo = MaxEventLog + 4<<20

// FromInfo takes the evidence out of a guest's own answer to /prpc/Info, in which tcb_info is JSON within a
// string. The quote is that of the app's certificate, and so is the event log where the certificate has one:
// the app may have extended events since. Where the certificate has no quote, Quote is left empty for the
// caller to fill.
func FromInfo(body []byte) (Evidence, error) {
	if len(body) > maxInfo {
		return Evidence{}, fmt.Errorf("evidence: %d bytes, want at most %d", len(body), maxInfo)
	}
	var info struct {
		AppID       string          `json:"app_id"`
		InstanceID  string          `json:"instance_id"`
		AppName     string          `json:"app_name"`
		Certificate string          `json:"app_cert"`
		TCBInfo     json.RawMessage `json:"tcb_info"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return Evidence{}, fmt.Errorf("evidence: %w", err)
	}
	e := Evidence{Name: info.AppName, InstanceID: info.InstanceID}
	var err error
	if info.AppID != "" {
		if e.AppID, err = kms.ParseAppID(info.AppID); err != nil {
			return Evidence{}, fmt.Errorf("evidence: %w", err)
		}
	}
	text := info.TCBInfo
	if len(text) > 0 && text[0] == '"' {
		var inner string
		if err := json.Unmarshal(text, &inner); err != nil {
			return Evidence{}, fmt.Errorf("evidence: tcb_info: %w", err)
		}
		text = []byte(inner)
	}
	if len(text) > 0 {
		var tcb *openapi.TCBInfo
		if err := json.Unmarshal(text, &tcb); err != nil {
			return Evidence{}, fmt.Errorf("evidence: tcb_info: %w", err)
		}
		if err := e.fillTCBInfo(tcb, nil); err != nil {
			return Evidence{}, fmt.Errorf("evidence: %w", err)
		}
	}
	if info.Certificate != "" {
		certified, err := fromPEM([]byte(info.Certificate))
		if err != nil && !errors.Is(err, ErrNoQuote) {
			return Evidence{}, fmt.Errorf("evidence: app_cert: %w", err)
		}
		e.Quote = certified.Quote
		if len(certified.EventLog) > 0 {
			e.EventLog = certified.EventLog
		}
	}
	return e, nil
}

// FromFiles reads a quote (its bytes, or hexadecimal digits), an event log (JSON) and an app-compose text.
// The last may be "".
func FromFiles(quote, eventLog, appCompose string) (Evidence, error) {
	e := Evidence{Name: quote}
	raw, err := readFile(quote, 2*MaxQuote+2)
	if err != nil {
		return Evidence{}, err
	}
	if e.Quote = raw; isHex(raw) {
		if e.Quote, err = decodeQuote(string(raw)); err != nil {
			return Evidence{}, fmt.Errorf("evidence: %s: %w", quote, err)
		}
	}
	log, err := readFile(eventLog, MaxEventLog)
	if err != nil {
		return Evidence{}, err
	}
	if e.EventLog, err = ParseEventLog(log); err != nil {
		return Evidence{}, fmt.Errorf("evidence: %s: %w", eventLog, err)
	}
	if appCompose != "" {
		text, err := readFile(appCompose, maxInfo)
		if err != nil {
			return Evidence{}, err
		}
		e.AppCompose = string(text)
	}
	return e, nil
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: %s: %w", name, err)
	}
	return data, nil
}

// isHex tells hexadecimal text from a raw quote, which begins with the version, 04 00 or 05 00.
func isHex(data []byte) bool {
	data = bytes.TrimPrefix(bytes.TrimSpace(data), []byte("0x"))
	_, err := hex.DecodeString(string(data))
	return len(data) > 0 && err == nil
}

func (e *Evidence) fillQuote(text string, certificates []openapi.Certificate) error {
	for i := 0; text == "" && i < len(certificates); i++ {
		text = certificates[i].Quote
	}
	if text == "" {
		return nil
	}
	var err error
	e.Quote, err = decodeQuote(text)
	return err
}

// fillTCBInfo prefers the log of tcb_info; older answers had it beside.
func (e *Evidence) fillTCBInfo(tcb *openapi.TCBInfo, beside []openapi.EventLogEntry) error {
	entries := beside
	if tcb != nil {
		e.AppCompose = tcb.AppCompose
		if len(tcb.EventLog) > 0 {
			entries = tcb.EventLog
		}
	}
	var err error
	e.EventLog, err = eventsOf(entries)
	return err
}

// parseInstanceID reads 40 hexadecimal digits, with or without "instance_" or "0x" in front.
func parseInstanceID(text string) (string, error) {
	bare := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(text, "instance_"), "0x"))
	if raw, err := hex.DecodeString(bare); err != nil || len(raw) != 20 {
		return "", fmt.Errorf("instance id %.80q: want 40 hexadecimal digits", text)
	}
	return bare, nil
}
