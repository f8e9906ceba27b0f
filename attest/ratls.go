package attest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/phala-go/phala/attest/osimage"
)

// maxCertificate limits the size of a certificate, in bytes.
const maxCertificate = MaxEventLog

// Extensions of an RA-TLS certificate, from dstack's ra-tls/src/oids.rs; each is an OCTET STRING.
const (
	extensionQuote       = 1 // up to dstack 0.5.8
	extensionEventLog    = 2 // up to dstack 0.5.8
	extensionAttestation = 8 // from dstack 0.5.9 on, in place of both
)

func ratlsOID(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, n}
}

// ErrNoQuote is returned for a certificate without a quote and without an attestation, such as one that only a KMS
// signed. Read the evidence from the API then, see [Peer.Evidence].
var ErrNoQuote = errors.New("the certificate carries no quote")

// FromCertificate returns the evidence in an RA-TLS certificate: the attestation of a guest from dstack 0.5.9 on, the
// quote and the event log of an older one. The app-compose text is in neither.
func FromCertificate(certificate *x509.Certificate) (Evidence, error) {
	if certificate == nil {
		return Evidence{}, errors.New("evidence: no certificate")
	}
	e := Evidence{Name: certificate.Subject.CommonName}
	attestation, err := extension(certificate, extensionAttestation)
	if err != nil {
		return Evidence{}, err
	}
	if attestation != nil {
		name := e.Name
		if e, err = FromAttestation(attestation); err != nil {
			return Evidence{}, fmt.Errorf("certificate %.80q: %w", name, err)
		}
		e.Name = name
		return e, nil
	}
	quote, err := extension(certificate, extensionQuote)
	if err != nil {
		return Evidence{}, err
	}
	if quote == nil {
		return Evidence{}, fmt.Errorf("certificate %.80q: %w", e.Name, ErrNoQuote)
	}
	e.Quote = quote
	log, err := extension(certificate, extensionEventLog)
	if err != nil || log == nil {
		return e, err
	}
	if e.EventLog, err = ParseEventLog(log); err != nil {
		return Evidence{}, fmt.Errorf("certificate %.80q: %w", e.Name, err)
	}
	return e, nil
}

// extension returns the content of an extension, or nil.
func extension(certificate *x509.Certificate, n int) ([]byte, error) {
	var found []byte
	for i := range certificate.Extensions {
		x := &certificate.Extensions[i]
		if !x.Id.Equal(ratlsOID(n)) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("certificate: extension %s appears twice", x.Id)
		}
		rest, err := asn1.Unmarshal(x.Value, &found)
		if err != nil || len(rest) > 0 || found == nil {
			return nil, fmt.Errorf("certificate: extension %s is not an OCTET STRING", x.Id)
		}
	}
	return found, nil
}

// fromPEM reads the first certificate of a chain.
func fromPEM(data []byte) (Evidence, error) {
	block, _ := pem.Decode(bytes.TrimSpace(data))
	if block == nil || block.Type != "CERTIFICATE" || len(block.Bytes) > maxCertificate {
		return Evidence{}, errors.New("not a PEM certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Evidence{}, err
	}
	return FromCertificate(certificate)
}

// Peer verifies the other end of a TLS connection by its hardware. Certificate authorities are not used: the quote
// signs the certificate's key (report data is [RATLSReportData]), and the handshake proves that the peer has that
// key. So the connection ends in the very CVM that the policy describes.
type Peer struct {
	// Policy is the policy for the app. ReportData is filled in.
	Policy Policy
	// Evidence, if not nil, returns the evidence for a certificate, for instance from the API or from a file with the
	// app-compose text. The default is [FromCertificate].
	Evidence func(ctx context.Context, certificate *x509.Certificate) (Evidence, error)
	// Report, if not nil, is called with the report of each handshake, also of those that fail.
	Report func(*Report)
	// Timeout limits the verification of one handshake, which may have to fetch collateral; 30 seconds if zero. TLS
	// passes no context to its hooks.
	Timeout time.Duration
}

// TLSConfig returns a configuration of a client for that app alone, for the TLSClientConfig of an http.Transport. It
// sets InsecureSkipVerify because VerifyConnection replaces the check of names and authorities.
func (p *Peer) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true,
		VerifyConnection:   p.VerifyConnection,
	}
}

// VerifyConnection implements the hook of tls.Config, which is called at each handshake, also at a resumed one. A
// server that verifies its clients requests their certificates with tls.RequireAnyClientCert.
func (p *Peer) VerifyConnection(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: the peer has no certificate", ErrNotPossible)
	}
	return p.verify(state.PeerCertificates[0])
}

// VerifyPeerCertificate implements the hook of tls.Config. A resumed connection does not call it, so VerifyConnection
// is preferable.
func (p *Peer) VerifyPeerCertificate(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 {
		return fmt.Errorf("%w: the peer has no certificate", ErrNotPossible)
	}
	certificate, err := x509.ParseCertificate(raw[0])
	if err != nil {
		return fmt.Errorf("certificate of the peer: %w", err)
	}
	return p.verify(certificate)
}

func (p *Peer) verify(certificate *x509.Certificate) error {
	timeout := p.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	policy := p.Policy
	now := time.Now()
	if policy.Now != nil {
		now = policy.Now()
	}
	if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return fmt.Errorf("certificate of the peer: valid from %s to %s, now it is %s",
			certificate.NotBefore.UTC().Format(time.RFC3339), certificate.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	source := p.Evidence
	if source == nil {
		source = func(_ context.Context, certificate *x509.Certificate) (Evidence, error) {
			return FromCertificate(certificate)
		}
	}
	evidence, err := source(ctx, certificate)
	if err != nil {
		return fmt.Errorf("evidence of the peer: %w", err)
	}
	key := RATLSReportData(certificate)
	policy.ReportData = &key
	report, err := Verify(ctx, evidence, policy)
	if p.Report != nil && report != nil {
		p.Report(report)
	}
	return err
}

// MaxAttestation is the maximum size of an attestation, in bytes. Real ones have about 8,000.
const MaxAttestation = MaxEventLog

// FromAttestation returns the evidence in an attestation: the data that a guest from dstack 0.5.9 on puts into its
// TLS certificate (OID 1.3.6.1.4.1.62397.1.8) and returns from Attest, in place of a quote and an event log. Its log
// is usually stripped to RTMR3, and the app-compose text is not in it.
//
// The first byte selects one of three encodings: SCALE (version 0, all real samples), MessagePack (version 1) and
// CBOR (version 1 for one week of April 2026). Attestations of other hardware than TDX are errors.
func FromAttestation(data []byte) (Evidence, error) {
	if len(data) == 0 || len(data) > MaxAttestation {
		return Evidence{}, fmt.Errorf("attestation of %d bytes, want 1 to %d", len(data), MaxAttestation)
	}
	var e Evidence
	var err error
	switch first := data[0]; {
	case first == 0:
		e, err = readSCALE(data)
	case first>>4 == 0x8 || first == 0xde || first == 0xdf: // a map in MessagePack
		if data, err = transcode(data); err == nil {
			e, err = readCBOR(data)
		}
	case first>>5 == 5: // a map in CBOR
		e, err = readCBOR(data)
	default:
		err = fmt.Errorf("its first byte is %#02x, want SCALE (0x00), or a map in MessagePack or CBOR", first)
	}
	if err == nil {
		err = e.fillConfig()
	}
	if err != nil {
		return Evidence{}, fmt.Errorf("attestation: %w", err)
	}
	return e, nil
}

// fillConfig reads the document of mr_config_id in the configuration.
func (e *Evidence) fillConfig() error {
	config, err := osimage.ParseVMConfig(e.VMConfig)
	if err != nil {
		return err
	}
	if e.ConfigDocument == "" {
		e.ConfigDocument = config.MRConfig
	}
	return nil
}

// fillRuntime uses the runtime events as the log of RTMR3 if the log has none of its own.
func (e *Evidence) fillRuntime(runtime []Event) error {
	for i := range e.EventLog {
		if e.EventLog[i].IMR == 3 {
			return checkSize(e.EventLog)
		}
	}
	e.EventLog = append(e.EventLog, runtime...)
	return checkSize(e.EventLog)
}

// scale reads the SCALE encoding: little-endian numbers, and a compact length before each list.
type scale struct {
	reader
	err error
}

func (s *scale) fail(format string, a ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, a...)
	}
	s.data = nil
}

// compact reads a length, whose two lowest bits are its size. The shortest form is compulsory.
func (s *scale) compact() int {
	var n, least uint32
	switch b := s.take(1); b[0] & 3 {
	case 0:
		n = uint32(b[0])
	case 1:
		n, least = uint32(b[0])|uint32(s.take(1)[0])<<8, 1<<6
	case 2:
		n, least = binary.LittleEndian.Uint32(append(b, s.take(3)...)), 1<<14
	default:
		s.fail("a length of more than 4 bytes")
	}
	if n >>= 2; !s.short && (n < least || n > MaxAttestation) {
		s.fail("length %d, want the shortest form, and at most %d", n, MaxAttestation)
	}
	return int(n)
}

func (s *scale) bytes() []byte { return s.take(s.compact()) }

func (s *scale) text() string {
	b := s.bytes()
	if !utf8.Valid(b) {
		s.fail("text %.40q is not UTF-8", b)
	}
	return string(b)
}

// count reads the length of a list whose entries have at least so many bytes.
func (s *scale) count(least int) int {
	n := s.compact()
	if n > len(s.data)/least {
		s.short = true
		return 0
	}
	return n
}

// readSCALE reads version 0, from dstack's dstack-attest/src/attestation.rs.
func readSCALE(data []byte) (Evidence, error) {
	s := &scale{reader: reader{data: data}}
	s.take(1) // version
	if platform := s.take(1)[0]; platform != 0 {
		s.fail("platform %d, want 0 (TDX)", platform)
	}
	e := Evidence{Quote: s.bytes()}
	for range s.count(11) {
		imr := s.uint32()
		if imr > 3 {
			s.fail("register %d, want 0 to 3", imr)
		}
		// Go evaluates these calls in the order in which they stand.
		e.EventLog = append(e.EventLog, Event{IMR: int(imr & 3), Type: s.uint32(), Digest: s.bytes(), Name: s.text(), Payload: s.bytes()})
	}
	var runtime []Event
	for range s.count(2) {
		runtime = append(runtime, Event{IMR: 3, Type: RuntimeEvent, Name: s.text(), Payload: s.bytes()})
	}
	s.take(len(Quote{}.ReportData)) // the quote has it, signed
	e.VMConfig = s.text()
	if len(s.data) > 0 {
		s.fail("%d bytes after its end", len(s.data))
	}
	if s.err == nil && s.short {
		s.err = errShort
	}
	if s.err != nil {
		return Evidence{}, fmt.Errorf("SCALE: %w", s.err)
	}
	return e, e.fillRuntime(runtime)
}

// attestationV1 is version 1, from dstack's dstack-attest/src/v1.rs. Other members are ignored: only what the quote
// proves counts.
type attestationV1 struct {
	Version  uint64 `cbor:"version"`
	Platform struct {
		Kind string          `cbor:"kind"`
		Data cbor.RawMessage `cbor:"data"`
	} `cbor:"platform"`
	Stack struct {
		Kind string `cbor:"kind"`
		Data struct {
			RuntimeEvents []struct {
				Name    string  `cbor:"event"`
				Payload octets  `cbor:"payload"`
				Version *uint32 `cbor:"version"`
			} `cbor:"runtime_events"`
			Config string `cbor:"config"`
		} `cbor:"data"`
	} `cbor:"stack"`
}

// platformTDX is the platform's part of version 1.
type platformTDX struct {
	Quote    octets `cbor:"quote"`
	EventLog []struct {
		IMR      uint32  `cbor:"imr"`
		Type     uint32  `cbor:"event_type"`
		Digest   octets  `cbor:"digest"`
		Name     string  `cbor:"event"`
		Payload  octets  `cbor:"event_payload"`
		Version  *uint32 `cbor:"version"`
		Preimage *string `cbor:"preimage"`
	} `cbor:"event_log"`
}

// octets are bytes, which dstack writes as bytes or as a list of numbers.
type octets []byte

func (o *octets) UnmarshalCBOR(data []byte) error {
	if len(data) > 0 && data[0]>>5 == 4 { // a list
		var list []uint8
		err := cbor.Unmarshal(data, &list)
		*o = list
		return err
	}
	return cbor.Unmarshal(data, (*[]byte)(o))
}

func readCBOR(data []byte) (Evidence, error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: MaxQuote, MaxMapPairs: 64, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		return Evidence{}, err
	}
	var a attestationV1
	if err := mode.Unmarshal(data, &a); err != nil {
		return Evidence{}, err
	}
	switch {
	case a.Version != 1:
		return Evidence{}, fmt.Errorf("version %d, want 1", a.Version)
	case a.Platform.Kind != "tdx":
		return Evidence{}, fmt.Errorf("platform %.40q, want \"tdx\"", a.Platform.Kind)
	case a.Stack.Kind != "dstack" && a.Stack.Kind != "dstack-pod":
		return Evidence{}, fmt.Errorf("stack %.40q, want \"dstack\" or \"dstack-pod\"", a.Stack.Kind)
	}
	var platform platformTDX
	if err := mode.Unmarshal(a.Platform.Data, &platform); err != nil {
		return Evidence{}, fmt.Errorf("platform: %w", err)
	}
	e := Evidence{Quote: platform.Quote, VMConfig: a.Stack.Data.Config}
	for i, entry := range platform.EventLog {
		if entry.IMR > 3 {
			return Evidence{}, fmt.Errorf("event %d (%.80q): register %d, want 0 to 3", i, entry.Name, entry.IMR)
		}
		event := Event{IMR: int(entry.IMR), Type: entry.Type, Name: entry.Name, Payload: entry.Payload, Digest: entry.Digest}
		if err := event.setVersion(entry.Version, entry.Preimage); err != nil {
			return Evidence{}, fmt.Errorf("event %d (%.80q): %w", i, entry.Name, err)
		}
		e.EventLog = append(e.EventLog, event)
	}
	var runtime []Event
	for i, entry := range a.Stack.Data.RuntimeEvents {
		event := Event{IMR: 3, Type: RuntimeEvent, Name: entry.Name, Payload: entry.Payload}
		if err := event.setVersion(entry.Version, nil); err != nil {
			return Evidence{}, fmt.Errorf("runtime event %d (%.80q): %w", i, entry.Name, err)
		}
		runtime = append(runtime, event)
	}
	return e, e.fillRuntime(runtime)
}

// setVersion fills in the version of the digest and its preimage. An attestation may leave the preimage out, which
// follows from name and payload.
func (e *Event) setVersion(version *uint32, preimage *string) error {
	if version == nil {
		return nil
	}
	if *version != 1 && *version != 2 {
		return fmt.Errorf("digest of version %d, want 1 or 2", *version)
	}
	e.Version = int(*version)
	if e.Version == 1 || e.Type != RuntimeEvent {
		return nil
	}
	var err error
	if preimage != nil {
		if e.Preimage, err = hex.DecodeString(*preimage); err != nil {
			return fmt.Errorf("preimage %.80q: want hexadecimal digits", *preimage)
		}
		return nil
	}
	e.Preimage, err = RuntimePreimage(e.Version, e.Name, e.Payload)
	return err
}

// transcode rewrites MessagePack as CBOR, so that one strict reader decodes both. Values that an attestation does not
// have (floats, negative numbers, extensions) are refused.
func transcode(data []byte) ([]byte, error) {
	t := &transcoder{in: data}
	err := t.value(0)
	if err == nil && len(t.in) > 0 {
		err = fmt.Errorf("%d bytes after its end", len(t.in))
	}
	if err != nil {
		return nil, fmt.Errorf("MessagePack: %w", err)
	}
	return t.out, nil
}

type transcoder struct{ in, out []byte }

// Major types of CBOR.
const (
	cborUint  = 0
	cborBytes = 2
	cborText  = 3
	cborList  = 4
	cborMap   = 5
)

var errShort = errors.New("shorter than it announces")

// number reads a big-endian number of 1, 2, 4 or 8 bytes.
func (t *transcoder) number(size int) (uint64, error) {
	if size > len(t.in) {
		return 0, errShort
	}
	var n uint64
	for _, b := range t.in[:size] {
		n = n<<8 | uint64(b)
	}
	t.in = t.in[size:]
	return n, nil
}

// head writes a major type with its number, in the shortest form.
func (t *transcoder) head(major byte, n uint64) {
	switch {
	case n < 24:
		t.out = append(t.out, major<<5|byte(n))
	case n <= math.MaxUint8:
		t.out = append(t.out, major<<5|24, byte(n))
	case n <= math.MaxUint16:
		t.out = binary.BigEndian.AppendUint16(append(t.out, major<<5|25), uint16(n))
	case n <= math.MaxUint32:
		t.out = binary.BigEndian.AppendUint32(append(t.out, major<<5|26), uint32(n))
	default:
		t.out = binary.BigEndian.AppendUint64(append(t.out, major<<5|27), n)
	}
}

// value rewrites one value. Each byte of the input becomes at most two of the output; announced lengths allocate
// nothing.
func (t *transcoder) value(depth int) error {
	first, err := t.number(1)
	switch {
	case err != nil:
		return err
	case depth > 8:
		return errors.New("nested too deeply")
	case first <= 0x7f:
		t.head(cborUint, first)
		return nil
	case first <= 0x8f:
		return t.list(cborMap, first&0x0f, depth)
	case first <= 0x9f:
		return t.list(cborList, first&0x0f, depth)
	case first <= 0xbf:
		return t.string(cborText, first&0x1f)
	}
	switch first {
	case 0xc0:
		t.out = append(t.out, 0xf6) // null
		return nil
	case 0xc2, 0xc3:
		t.out = append(t.out, 0xf4+byte(first-0xc2)) // false, true
		return nil
	}
	var major byte
	var size int
	switch {
	case first >= 0xc4 && first <= 0xc6:
		major, size = cborBytes, 1<<(first-0xc4)
	case first >= 0xcc && first <= 0xcf:
		major, size = cborUint, 1<<(first-0xcc)
	case first >= 0xd9 && first <= 0xdb:
		major, size = cborText, 1<<(first-0xd9)
	case first == 0xdc || first == 0xdd:
		major, size = cborList, 2<<(first-0xdc)
	case first == 0xde || first == 0xdf:
		major, size = cborMap, 2<<(first-0xde)
	default:
		return fmt.Errorf("a value of type %#02x, which no attestation has", first)
	}
	n, err := t.number(size)
	switch {
	case err != nil:
		return err
	case major == cborUint:
		t.head(cborUint, n)
		return nil
	case major == cborList || major == cborMap:
		return t.list(major, n, depth)
	}
	return t.string(major, n)
}

func (t *transcoder) string(major byte, n uint64) error {
	if n > uint64(len(t.in)) {
		return errShort
	}
	t.head(major, n)
	t.out = append(t.out, t.in[:n]...)
	t.in = t.in[n:]
	return nil
}

// list rewrites a list, or a map, which has two values for each entry.
func (t *transcoder) list(major byte, n uint64, depth int) error {
	if n > uint64(len(t.in)) {
		return errShort
	}
	t.head(major, n)
	if major == cborMap {
		n *= 2
	}
	for range n {
		if err := t.value(depth + 1); err != nil {
			return err
		}
	}
	return nil
}
