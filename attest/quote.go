package attest

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/phala-go/phala/internal/hexbytes"
	"github.com/phala-go/phala/kms"
)

// MaxQuote is the maximum size of a quote, in bytes. Real ones have about 5,000.
const MaxQuote = 32 << 10

// Layout of a TDX quote, from Intel's "TDX DCAP Quoting Library API", appendix 3.
const (
	headerSize   = 48
	body10Size   = 584 // TD 1.0
	body15Size   = 648 // TD 1.5: TEE_TCB_SVN_2 and MRSERVICETD more
	teeTDX       = 0x81
	keyECDSAP256 = 2
	bodyTD10     = 2
	bodyTD15     = 3
	certsQE      = 6 // certification data: QE report and what certifies it
	certsPCK     = 5 // certification data: the PCK chain, PEM
	qeReportSize = 384
	qeReportData = 320 // where the report data of a report body begins
)

// Quote is the hardware's statement about one trust domain (TD), with the chain that signed it. Parsing does not
// verify it: [Verify] does.
type Quote struct {
	// Version of the format: 4, or 5.
	Version uint16
	// TD15 is true if the body is that of TD 1.5.
	TD15 bool
	// UserData is set by the quoting enclave: 16 bytes that identify the platform, and zeros.
	UserData [20]byte
	// TEETCBSVN are the security version numbers of the TDX module.
	TEETCBSVN [16]byte
	// MRSEAM measures the TDX module; MRSignerSEAM is zero for Intel's own.
	MRSEAM, MRSignerSEAM Measurement
	// SEAMAttributes are the attributes of the TDX module.
	SEAMAttributes [8]byte
	// TDAttributes are those of the TD. If a bit of the first byte is set, the TD can be debugged.
	TDAttributes [8]byte
	// XFAM are the CPU features that the TD may use.
	XFAM [8]byte
	// MRTD measures the firmware.
	MRTD Measurement
	// MRConfigID, MROwner and MROwnerConfig are chosen by the host at start.
	MRConfigID, MROwner, MROwnerConfig Measurement
	// RTMR are the run-time registers: 0 the virtual hardware, 1 the kernel, 2 its command line and initial
	// file system, 3 the events of dstack and of the app.
	RTMR [4]Measurement
	// ReportData is the data that the guest requested the quote with.
	ReportData [64]byte
	// TEETCBSVN2 and MRServiceTD are part of TD 1.5 only.
	TEETCBSVN2  [16]byte
	MRServiceTD Measurement

	raw     []byte // without the padding
	message []byte // the part that the attestation key signs

	signature, attestationKey         []byte
	qeReport, qeSignature, qeAuthData []byte
	pckChain                          []byte
}

// ParseQuote parses a quote of version 4, or of version 5 with the body of TD 1.0 or TD 1.5. Each length in it must
// be exact. Zero bytes may follow, because guests return their whole buffer.
func ParseQuote(raw []byte) (*Quote, error) {
	if len(raw) > MaxQuote {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(raw), MaxQuote)
	}
	r := reader{data: raw}
	header := r.take(headerSize)
	if r.short {
		return nil, fmt.Errorf("%d bytes, too short for a quote", len(raw))
	}
	q := &Quote{Version: binary.LittleEndian.Uint16(header)}
	if kind := binary.LittleEndian.Uint16(header[2:]); kind != keyECDSAP256 {
		return nil, fmt.Errorf("attestation key of type %d, want %d (ECDSA P-256)", kind, keyECDSAP256)
	}
	if tee := binary.LittleEndian.Uint32(header[4:]); tee != teeTDX {
		return nil, fmt.Errorf("TEE type %#x, want %#x (TDX)", tee, teeTDX)
	}
	size := body10Size
	switch q.Version {
	case 4:
	case 5:
		kind, announced := r.uint16(), r.uint32()
		switch kind {
		case bodyTD10:
		case bodyTD15:
			size, q.TD15 = body15Size, true
		default:
			return nil, fmt.Errorf("body of type %d, want %d (TD 1.0) or %d (TD 1.5)", kind, bodyTD10, bodyTD15)
		}
		if announced != uint32(size) {
			return nil, fmt.Errorf("body of %d bytes, want %d", announced, size)
		}
	default:
		return nil, fmt.Errorf("version %d, want 4 or 5", q.Version)
	}
	body := r.take(size)
	message := len(raw) - len(r.data)
	signed := r.take(int(r.uint32()))
	if r.short {
		return nil, fmt.Errorf("%d bytes, shorter than the quote announces", len(raw))
	}
	for i, b := range r.data {
		if b != 0 {
			return nil, fmt.Errorf("byte %d after the end of the quote is %#x, only zeros may follow", i, b)
		}
	}
	q.raw, q.message = raw[:len(raw)-len(r.data)], raw[:message]
	copy(q.UserData[:], header[headerSize-len(q.UserData):])
	q.readBody(body)
	return q, q.readSignature(signed)
}

func (q *Quote) readBody(body []byte) {
	r := reader{data: body}
	for _, field := range [][]byte{
		q.TEETCBSVN[:], q.MRSEAM[:], q.MRSignerSEAM[:], q.SEAMAttributes[:], q.TDAttributes[:], q.XFAM[:],
		q.MRTD[:], q.MRConfigID[:], q.MROwner[:], q.MROwnerConfig[:],
		q.RTMR[0][:], q.RTMR[1][:], q.RTMR[2][:], q.RTMR[3][:], q.ReportData[:],
	} {
		copy(field, r.take(len(field)))
	}
	if q.TD15 {
		copy(q.TEETCBSVN2[:], r.take(len(q.TEETCBSVN2)))
		copy(q.MRServiceTD[:], r.take(len(q.MRServiceTD)))
	}
}

// readSignature reads the signature section and checks every length in it: go-tdx-guest 0.3.1 slices by those lengths
// unchecked, and panics if they are wrong.
func (q *Quote) readSignature(signed []byte) error {
	r := reader{data: signed}
	q.signature = r.take(64)
	q.attestationKey = r.take(64)
	if kind := r.uint16(); !r.short && kind != certsQE {
		return fmt.Errorf("certification data of type %d, want %d", kind, certsQE)
	}
	certification := reader{data: r.take(int(r.uint32()))}
	if r.short || len(r.data) != 0 {
		return fmt.Errorf("signature of %d bytes: its lengths do not add up", len(signed))
	}
	q.qeReport = certification.take(qeReportSize)
	q.qeSignature = certification.take(64)
	q.qeAuthData = certification.take(int(certification.uint16()))
	if kind := certification.uint16(); !certification.short && kind != certsPCK {
		return fmt.Errorf("quoting enclave certified by data of type %d, want %d (a PCK chain)", kind, certsPCK)
	}
	q.pckChain = certification.take(int(certification.uint32()))
	if certification.short || len(certification.data) != 0 {
		return fmt.Errorf("certification data: its lengths do not add up")
	}
	return nil
}

// MRAggregated returns the SHA-256 over MRTD and the four run-time registers, and over mr_config_id, mr_owner and
// mr_owner_config if one of these is not zero. DstackApp and DstackKms contracts compare it.
func (q *Quote) MRAggregated() [32]byte {
	registers := []Measurement{q.MRTD, q.RTMR[0], q.RTMR[1], q.RTMR[2], q.RTMR[3]}
	if !q.MRConfigID.IsZero() || !q.MROwner.IsZero() || !q.MROwnerConfig.IsZero() {
		registers = append(registers, q.MRConfigID, q.MROwner, q.MROwnerConfig)
	}
	return sha256.Sum256(concat(registers))
}

// MRSystem returns the SHA-256 over MRTD, RTMR0 to RTMR2 and the SHA-256 of the payload of the key-provider event, or
// 32 zero bytes without one. It identifies hardware, image and KMS, whatever the app.
func (q *Quote) MRSystem(keyProvider []byte) [32]byte {
	var provider [32]byte
	if len(keyProvider) > 0 {
		provider = sha256.Sum256(keyProvider)
	}
	return sha256.Sum256(append(concat([]Measurement{q.MRTD, q.RTMR[0], q.RTMR[1], q.RTMR[2]}), provider[:]...))
}

func concat(registers []Measurement) []byte {
	var b []byte
	for _, m := range registers {
		b = slices.Concat(b, m[:])
	}
	return b
}

// reader takes bytes from the front. If there are too few, short is set, and the bytes are zeros.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if uint(n) > uint(len(r.data)) { // also if n overflowed
		r.short, r.data = true, nil
		return make([]byte, min(uint(n), body15Size))
	}
	taken := r.data[:n:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) uint16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

// maxQuoteText bounds the forms of [DecodeQuote]: a list of numbers has up to six characters a byte.
const maxQuoteText = 6*MaxQuote + 64<<10

// DecodeQuote decodes a quote from its usual forms: bytes; hex digits of either case with or without "0x"; base64,
// standard or URL, with or without padding; a JSON string of one of these; a JSON list of bytes; or an object with
// the member "quote", such as a guest's response to GetQuote. White space and zeros around it are dropped, except the
// zeros behind the bytes, which [ParseQuote] drops.
func DecodeQuote(data []byte) ([]byte, error) {
	if len(data) > maxQuoteText {
		return nil, fmt.Errorf("quote of %d bytes, want at most %d in any form", len(data), maxQuoteText)
	}
	if len(data) >= 8 && data[1] == 0 && data[4] == teeTDX && data[5] == 0 { // the header of a quote, which no text has
		return data, nil
	}
	text := bytes.Trim(data, " \t\r\n\x00")
	if len(text) > 0 {
		switch text[0] {
		case '"':
			var inner string
			if json.Unmarshal(text, &inner) == nil && !strings.HasPrefix(inner, `"`) {
				return DecodeQuote([]byte(inner))
			}
		case '[':
			var numbers []uint16 // encoding/json treats a []byte as base64
			if json.Unmarshal(text, &numbers) == nil {
				if raw, err := bytesOf(numbers); err == nil {
					return raw, nil
				}
			}
		case '{':
			var object struct{ Quote, Data json.RawMessage }
			if json.Unmarshal(text, &object) == nil && len(object.Quote) > 0 && object.Quote[0] != '{' {
				return DecodeQuote(object.Quote)
			}
			if len(object.Data) > 0 && object.Data[0] == '[' { // a Buffer of Node.js
				return DecodeQuote(object.Data)
			}
		default:
			if raw, err := hex.DecodeString(strings.TrimPrefix(strings.TrimPrefix(string(text), "0x"), "0X")); err == nil {
				return raw, nil
			}
			bare := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "").Replace(string(text)), "=")
			if raw, err := base64.RawStdEncoding.DecodeString(bare); err == nil && len(raw) >= headerSize {
				return raw, nil
			}
		}
	}
	return nil, fmt.Errorf("quote %.20q…: want its bytes, hexadecimal digits with or without 0x, base64, a JSON string of these, "+
		"a JSON list of bytes, or an object with the member quote", text)
}

func bytesOf(numbers []uint16) ([]byte, error) {
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		if n > 255 {
			return nil, fmt.Errorf("%d is no byte", n)
		}
		b[i] = byte(n)
	}
	return b, nil
}

// Measurement is a SHA-384, as in MRTD and in the four run-time registers (RTMR) of TDX.
type Measurement [48]byte

// ParseMeasurement parses 96 hex digits of either case, with or without "0x".
func ParseMeasurement(text string) (Measurement, error) {
	var m Measurement
	err := hexbytes.Parse(m[:], "measurement", text)
	return m, err
}

// String returns 96 lower-case hex digits.
func (m Measurement) String() string { return hex.EncodeToString(m[:]) }

// MarshalText returns the text of [Measurement.String].
func (m Measurement) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText parses the text as [ParseMeasurement] does.
func (m *Measurement) UnmarshalText(text []byte) error {
	return hexbytes.Parse(m[:], "measurement", string(text))
}

// IsZero reports whether nothing was measured into the register.
func (m Measurement) IsZero() bool { return m == Measurement{} }

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// DeviceID returns the id of a machine: the SHA-256 of the PPID of its PCK certificate, which guests state since
// dstack 0.5.6 (commit 3c75b2ad of 2025-12-20), or of the 20 bytes of user data in the header of its quotes,
// which guests state up to 0.5.5.
func DeviceID(identifier []byte) kms.DeviceID { return sha256.Sum256(identifier) }

// DeviceIDs contains the two ids of a machine that follow from its quote. Both are genuine.
type DeviceIDs struct {
	// PPID is the SHA-256 of the PPID, the rule since dstack 0.5.6; zero if the PCK certificate has none.
	PPID kms.DeviceID `json:"ppid"`
	// UserData is the SHA-256 of the user data in the quote's header, the rule up to dstack 0.5.5; zero if that is
	// all zeros.
	UserData kms.DeviceID `json:"user_data"`
}

// device is the id by the user data of the header.
func (q *Quote) device() kms.DeviceID {
	if q.UserData == [20]byte{} {
		return kms.DeviceID{}
	}
	return DeviceID(q.UserData[:])
}

// String returns both ids with their rules.
func (d DeviceIDs) String() string {
	var all []string
	if !d.PPID.IsZero() {
		all = append(all, fmt.Sprintf("%s (SHA-256 of the PPID, stated since dstack 0.5.6)", d.PPID))
	}
	if !d.UserData.IsZero() {
		all = append(all, fmt.Sprintf("%s (SHA-256 of the quote's user data, stated up to dstack 0.5.5)", d.UserData))
	}
	return strings.Join(all, " and ")
}

// describe returns the result of comparing a stated id with those of the quote, for a report: some guests state a
// placeholder.
func (d DeviceIDs) describe(stated kms.DeviceID) string {
	switch {
	case stated.IsZero():
		return ""
	case isPlaceholder(stated):
		return fmt.Sprintf("the guest states %s, the SHA-256 of nothing, which identifies no machine", stated)
	case stated.Equal(d.PPID), stated.Equal(d.UserData):
		return fmt.Sprintf("the guest states %s", stated)
	}
	return fmt.Sprintf("the guest states %s, which does not follow from its quote", stated)
}

// isPlaceholder reports whether the id is the SHA-256 of nothing, which some guests state in place of an id.
func isPlaceholder(id kms.DeviceID) bool { return id.Equal(sha256.Sum256(nil)) }
