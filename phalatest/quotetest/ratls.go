package quotetest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/phala-go/phala/attest"
)

// Certificate issues a TLS certificate of the CVM, whose key the quote signs. Its extensions contain quote and event
// log, or an attestation with a stripped log, by the spec's Attestation. The evidence also has the app-compose text,
// which is not in the certificate.
func (a *Authority) Certificate(spec Spec, changes ...Change) (tls.Certificate, attest.Evidence, error) {
	certificate, evidence, err := a.certificate(spec, changes)
	if err != nil {
		err = fmt.Errorf("quotetest: %w", err)
	}
	return certificate, evidence, err
}

func (a *Authority) certificate(spec Spec, changes []Change) (tls.Certificate, attest.Evidence, error) {
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	spec.ReportData = attest.TaggedReportData(attest.TagRATLS, spki)
	evidence, err := a.Evidence(spec, changes...)
	if err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quotetest app"},
		NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, DNSNames: []string{"app.example.invalid"},
	}
	if template.ExtraExtensions, err = extensions(spec, evidence); err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, evidence, err
}

// extensions are those of dstack's ra-tls/src/oids.rs: 1.3.6.1.4.1.62397.1.1 is the quote, .2 the event log, .8 the
// attestation.
func extensions(spec Spec, evidence attest.Evidence) ([]pkix.Extension, error) {
	contents := map[int][]byte{}
	var err error
	if spec.Attestation == NoAttestation {
		contents[1] = evidence.Quote
		contents[2], err = json.Marshal(attest.LogEntries(evidence.EventLog))
	} else {
		evidence.EventLog = Strip(evidence.EventLog)
		contents[8], err = Attestation(evidence, spec.Attestation)
	}
	if err != nil {
		return nil, err
	}
	var all []pkix.Extension
	for n, content := range contents {
		value, err := asn1.Marshal(content)
		if err != nil {
			return nil, err
		}
		all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, n}, Value: value})
	}
	return all, nil
}

// AttestationForm is the encoding of an attestation.
type AttestationForm int

// The forms of attestations. NoAttestation stands for the quote and the event log, each in its own extension, as guests
// up to dstack 0.5.8 have them in their certificates.
const (
	NoAttestation AttestationForm = iota
	SCALE
	MessagePack
	CBOR
)

// Attestation encodes evidence as a guest from dstack 0.5.9 on does. SCALE cannot encode events with digests of the
// second format.
func Attestation(e attest.Evidence, form AttestationForm) ([]byte, error) {
	switch form {
	case SCALE:
		return scaleAttestation(e)
	case CBOR:
		return cbor.Marshal(attestationTree(e))
	case MessagePack:
		return appendMessagePack(nil, attestationTree(e))
	}
	return nil, fmt.Errorf("quotetest: attestation form %d, want SCALE, MessagePack or CBOR", form)
}

// Strip shortens an event log as a guest from dstack 0.5.9 on does for its certificate: RTMR3 without digests, and
// of RTMR0 the three ACPI digests.
func Strip(log []attest.Event) []attest.Event {
	var stripped []attest.Event
	for _, e := range log {
		switch {
		case e.IMR == 3:
			e.Digest = nil
		case e.IMR != 0 || e.Type != eventACPI:
			continue
		}
		stripped = append(stripped, e)
	}
	return stripped
}

func scaleAttestation(e attest.Evidence) ([]byte, error) {
	report, err := reportData(e)
	if err != nil {
		return nil, err
	}
	b := appendSized([]byte{0, 0}, e.Quote) // version, TDX
	b = appendCompact(b, len(e.EventLog))
	runtime := 0
	for _, event := range e.EventLog {
		b = binary.LittleEndian.AppendUint32(b, uint32(event.IMR))
		b = binary.LittleEndian.AppendUint32(b, event.Type)
		for _, field := range [][]byte{event.Digest, []byte(event.Name), event.Payload} {
			b = appendSized(b, field)
		}
		if event.Type == attest.RuntimeEvent {
			runtime++
		}
		if event.Version > 1 {
			return nil, fmt.Errorf("quotetest: SCALE cannot carry event %q with a digest of version %d", event.Name, event.Version)
		}
	}
	b = appendCompact(b, runtime)
	for _, event := range e.EventLog {
		if event.Type == attest.RuntimeEvent {
			b = appendSized(appendSized(b, []byte(event.Name)), event.Payload)
		}
	}
	return appendSized(append(b, report...), []byte(e.VMConfig)), nil
}

func reportData(e attest.Evidence) ([]byte, error) {
	q, err := attest.ParseQuote(e.Quote)
	if err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	return q.ReportData[:], nil
}

// appendCompact writes a length of SCALE in its shortest form.
func appendCompact(b []byte, n int) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n<<2))
	case n < 1<<14:
		return binary.LittleEndian.AppendUint16(b, uint16(n<<2|1))
	}
	return binary.LittleEndian.AppendUint32(b, uint32(n<<2|2))
}

func appendSized(b, field []byte) []byte { return append(appendCompact(b, len(field)), field...) }

// member is an entry of an ordered map: dstack writes members in the order of their declaration.
type member struct {
	name  string
	value any
}

type object []member

// MarshalCBOR writes the map in its order.
func (o object) MarshalCBOR() ([]byte, error) {
	b := []byte{5<<5 | byte(len(o))} // no object here has 24 members
	for _, m := range o {
		for _, v := range []any{m.name, m.value} {
			encoded, err := cbor.Marshal(v)
			if err != nil {
				return nil, err
			}
			b = append(b, encoded...)
		}
	}
	return b, nil
}

// list is a byte string that is written as a list of numbers, as serde does by default.
type list []byte

// MarshalCBOR writes the list.
func (l list) MarshalCBOR() ([]byte, error) {
	numbers := make([]any, len(l))
	for i, b := range l {
		numbers[i] = b
	}
	return cbor.Marshal(numbers)
}

// attestationTree is version 1 of an attestation.
func attestationTree(e attest.Evidence) object {
	var events, runtime []any
	for _, event := range e.EventLog {
		o := object{
			{"imr", event.IMR}, {"event_type", int(event.Type)}, {"digest", event.Digest}, {"event", event.Name},
			{"event_payload", event.Payload},
		}
		r := object{{"event", event.Name}, {"payload", event.Payload}}
		if event.Version > 1 {
			o = append(o, member{"version", event.Version})
			r = append(r, member{"version", event.Version})
			if event.Preimage != nil {
				o = append(o, member{"preimage", hex.EncodeToString(event.Preimage)})
			}
		}
		events = append(events, o)
		if event.Type == attest.RuntimeEvent {
			runtime = append(runtime, r)
		}
	}
	report, _ := reportData(e)
	return object{
		{"version", 1},
		{"platform", object{{"kind", "tdx"}, {"data", object{{"quote", list(e.Quote)}, {"event_log", events}}}}},
		{"stack", object{{"kind", "dstack"}, {"data", object{
			{"report_data", list(report)}, {"runtime_events", runtime}, {"config", e.VMConfig},
		}}}},
	}
}

// appendMessagePack writes the types of attestationTree.
func appendMessagePack(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case object:
		b = append(b, 0x80|byte(len(v)))
		for _, m := range v {
			if b, err = appendMessagePack(b, m.name); err == nil {
				b, err = appendMessagePack(b, m.value)
			}
			if err != nil {
				return nil, err
			}
		}
		return b, nil
	case []any:
		b = binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(len(v)))
		for _, item := range v {
			if b, err = appendMessagePack(b, item); err != nil {
				return nil, err
			}
		}
		return b, nil
	case list:
		b = binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(len(v)))
		for _, n := range v {
			b, _ = appendMessagePack(b, int(n))
		}
		return b, nil
	case string:
		if len(v) < 32 {
			return append(append(b, 0xa0|byte(len(v))), v...), nil
		}
		return append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(v))), v...), nil
	case []byte:
		return append(binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(len(v))), v...), nil
	case int:
		switch {
		case v < 0x80:
			return append(b, byte(v)), nil
		case v < 0x100:
			return append(b, 0xcc, byte(v)), nil
		}
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v)), nil
	}
	return nil, fmt.Errorf("quotetest: cannot write %T", v)
}
