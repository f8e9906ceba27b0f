package attest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/phala-go/phala/internal/hexbytes"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Evidence is the evidence of one CVM, unverified: nothing in it is trusted. [FromCVM], [FromApp], [FromInfo],
// [FromFiles] and [FromCertificate] return one, or fill in the fields.
type Evidence struct {
	// Name is the name in reports, such as that of the CVM.
	Name string
	// Quote is the raw TDX quote.
	Quote []byte
	// EventLog are all its entries, in order.
	EventLog []Event
	// AppCompose is the exact app-compose text, with unchanged bytes; empty if there is none.
	AppCompose string
	// ConfigDocument is the exact text that the third format of mr_config_id binds; empty if there is none.
	ConfigDocument string
	// VMConfig is the JSON text in which the host describes the virtual machine and its image; empty if there is
	// none. It is needed to compute the image's registers. A false one cannot make another image match.
	VMConfig string
	// OSImage is the name that the cloud states for the image, such as dstack-0.5.4 or dstack-dev-0.5.4. It proves
	// nothing, but a development image with such a name is refused. If it is empty, the name in VMConfig is used.
	OSImage string
	// AppID and InstanceID are the stated ids; zero and empty if there are none.
	AppID      kms.AppID
	InstanceID string
	// Device is the device id that the guest states, only for the report; zero if there is none.
	Device kms.DeviceID
}

// FromCVM returns the evidence in the API's response about one CVM. The API has its quote in the description of a
// certificate; the first one is used. If there is none, Quote is empty for the caller to fill in.
func FromCVM(a *openapi.CVMAttestation) (Evidence, error) {
	if a == nil {
		return Evidence{}, errors.New("evidence: no attestation")
	}
	if a.Error != "" {
		return Evidence{}, fmt.Errorf("evidence of %.80q: the cloud reports %.200q", a.Name, a.Error)
	}
	e := Evidence{Name: a.Name}
	if err := errors.Join(e.fillQuote("", a.AppCertificates), e.fillTCBInfo(a.TCBInfo, nil)); err != nil {
		return Evidence{}, fmt.Errorf("evidence of %.80q: %w", a.Name, err)
	}
	e.fillText(a.ComposeFile)
	return e, nil
}

// FromApp returns the evidence in the API's response about an app, one for each instance. An instance that is not
// running has none, which [Verify] then reports. Older responses have the log and the text beside tcb_info, or in
// place of it.
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
		if e.AppCompose == "" {
			e.AppCompose = instance.ComposeFile
		}
		if err == nil && a.AppID != "" {
			e.AppID, err = kms.ParseAppID(a.AppID)
		}
		if err != nil {
			return nil, fmt.Errorf("evidence of instance %d (%.80q): %w", i, instance.Name, err)
		}
	}
	return all, nil
}

// maxInfo limits a response of a guest agent, in bytes.
const maxInfo = MaxEventLog + 4<<20

// guestInfo is the response of a guest agent, in the formats of its versions and of the cloud.
type guestInfo struct {
	AppID      string `json:"app_id"`
	InstanceID string `json:"instance_id"`
	AppName    string `json:"app_name"`
	DeviceID   string `json:"device_id"`
	// Certificate is that of the app, PEM; Certificates are PEM, or descriptions with a quote.
	Certificate  json.RawMessage   `json:"app_cert"`
	Certificates []json.RawMessage `json:"app_certificates"`
	Quote        json.RawMessage   `json:"quote"`
	// TCBInfo is an object, or JSON within a string; the others are beside it in older responses.
	TCBInfo     json.RawMessage `json:"tcb_info"`
	ComposeFile json.RawMessage `json:"compose_file"`
	EventLog    json.RawMessage `json:"eventlog"`
	Log         json.RawMessage `json:"event_log"`
	// VMConfig is a text of JSON.
	VMConfig string `json:"vm_config"`
}

// FromInfo returns the evidence in a guest agent's response about itself: /prpc/Info of an app, in which tcb_info is
// JSON within a string, and kms_guest_agent_info and gateway_guest_agent_info of the cloud's attestations. The quote
// is that of the response, otherwise that of the first certificate with one, and so is the event log if the
// certificate has one: the app may have extended events since. If there is no quote, Quote is empty for the caller to
// fill in.
//
// It reads an object with the members app_id, instance_id, app_name, device_id, quote, app_cert (PEM),
// app_certificates (PEM texts, or objects with the member quote), tcb_info (an object, or a string of one; with
// app_compose and event_log), vm_config (a string), and in older responses compose_file and eventlog.
func FromInfo(body []byte) (Evidence, error) {
	return readInfo(body, func(*guestInfo) bool { return true }, "a response of a guest agent, a JSON object")
}

// FromGetQuote returns the evidence in a guest agent's response to GetQuote: an object with the members quote, in any
// form of [DecodeQuote], event_log, a list or a string of one, and vm_config. The app-compose text is not in it.
func FromGetQuote(body []byte) (Evidence, error) {
	return readInfo(body, func(info *guestInfo) bool { return !isNull(info.Quote) }, "a response to GetQuote, an object with the members quote and event_log")
}

func readInfo(body []byte, complete func(*guestInfo) bool, want string) (Evidence, error) {
	if len(body) > maxInfo {
		return Evidence{}, fmt.Errorf("evidence: %d bytes, want at most %d", len(body), maxInfo)
	}
	var info guestInfo
	err := strictjson.Unmarshal(body, &info)
	if err == nil && !complete(&info) {
		err = errors.New("a member is missing")
	}
	if err != nil {
		return Evidence{}, fmt.Errorf("evidence %.40q…: want %s: %w", body, want, err)
	}
	e, err := info.evidence()
	if err != nil {
		return Evidence{}, fmt.Errorf("evidence: %w", err)
	}
	return e, nil
}

func (info *guestInfo) evidence() (Evidence, error) {
	e := Evidence{Name: info.AppName, InstanceID: info.InstanceID, VMConfig: info.VMConfig}
	var err error
	if info.AppID != "" {
		if e.AppID, err = kms.ParseAppID(info.AppID); err != nil {
			return Evidence{}, err
		}
	}
	if info.DeviceID != "" {
		if e.Device, err = kms.ParseDeviceID(info.DeviceID); err != nil {
			return Evidence{}, err
		}
	}
	var tcb *openapi.TCBInfo
	if err := unwrap(info.TCBInfo, &tcb); err != nil {
		return Evidence{}, fmt.Errorf("tcb_info: want an object, or a string of one: %w", err)
	}
	if err := e.fillTCBInfo(tcb, nil); err != nil {
		return Evidence{}, err
	}
	e.fillText(info.ComposeFile)
	for _, log := range []json.RawMessage{info.EventLog, info.Log} {
		if len(e.EventLog) > 0 || isNull(log) {
			continue
		}
		if e.EventLog, err = ParseEventLog(log); err != nil {
			return Evidence{}, err
		}
	}
	if !isNull(info.Quote) {
		e.Quote, err = DecodeQuote(info.Quote)
		return e, err
	}
	return e, e.fillCertificates(append([]json.RawMessage{info.Certificate}, info.Certificates...))
}

// fillCertificates reads the quote of the first certificate that has one.
func (e *Evidence) fillCertificates(certificates []json.RawMessage) error {
	for i, certificate := range certificates {
		var described struct{ Quote string }
		var text string
		switch {
		case isNull(certificate):
		case json.Unmarshal(certificate, &text) == nil:
			certified, err := fromPEM([]byte(text))
			if err != nil && !errors.Is(err, ErrNoQuote) {
				return fmt.Errorf("certificate %d: %w", i, err)
			}
			e.Quote = certified.Quote
			if len(certified.EventLog) > 0 {
				e.EventLog = certified.EventLog
			}
			if e.VMConfig == "" {
				e.VMConfig = certified.VMConfig
			}
			if e.ConfigDocument == "" {
				e.ConfigDocument = certified.ConfigDocument
			}
		case json.Unmarshal(certificate, &described) != nil:
			return fmt.Errorf("certificate %d: want PEM, or an object with the member quote", i)
		case described.Quote != "":
			var err error
			if e.Quote, err = DecodeQuote([]byte(described.Quote)); err != nil {
				return fmt.Errorf("certificate %d: %w", i, err)
			}
		}
		if len(e.Quote) > 0 {
			break
		}
	}
	return nil
}

func isNull(text json.RawMessage) bool {
	return len(text) == 0 || string(text) == "null" || string(text) == `""`
}

// unwrap decodes JSON that may stand within a string.
func unwrap(text json.RawMessage, into any) error {
	if isNull(text) {
		return nil
	}
	if text[0] == '"' {
		var inner string
		if err := json.Unmarshal(text, &inner); err != nil {
			return err
		}
		text = []byte(inner)
	}
	return strictjson.Unmarshal(text, into)
}

// FromFiles returns the evidence of a quote in any form of [DecodeQuote], an event log in any form of [ParseEventLog]
// and an app-compose text. The last may be "", and so may the event log if the first file is a response to GetQuote.
func FromFiles(quote, eventLog, appCompose string) (Evidence, error) {
	raw, err := readFile(quote, maxInfo)
	if err != nil {
		return Evidence{}, err
	}
	var e Evidence
	if eventLog == "" {
		e, err = FromGetQuote(raw)
	} else {
		e.Quote, err = DecodeQuote(raw)
	}
	if err != nil {
		return Evidence{}, fmt.Errorf("evidence: %s: %w", quote, err)
	}
	e.Name = quote
	if eventLog != "" {
		log, err := readFile(eventLog, MaxEventLog)
		if err != nil {
			return Evidence{}, err
		}
		if e.EventLog, err = ParseEventLog(log); err != nil {
			return Evidence{}, fmt.Errorf("evidence: %s: %w", eventLog, err)
		}
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

func (e *Evidence) fillQuote(text string, certificates []openapi.Certificate) error {
	for i := 0; text == "" && i < len(certificates); i++ {
		text = certificates[i].Quote
	}
	if text == "" {
		return nil
	}
	var err error
	e.Quote, err = DecodeQuote([]byte(text))
	return err
}

// fillText reads the app-compose text of an older response. An object is not the text: its bytes are not the hashed
// ones.
func (e *Evidence) fillText(composeFile json.RawMessage) {
	var text string
	if e.AppCompose == "" && json.Unmarshal(composeFile, &text) == nil {
		e.AppCompose = text
	}
}

// fillTCBInfo reads text and log of tcb_info. Older responses have the log beside it.
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
	var id [20]byte
	err := hexbytes.Parse(id[:], "instance id", strings.TrimPrefix(text, "instance_"))
	return hex.EncodeToString(id[:]), err
}
