package attest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// MaxQuote is the largest quote that is looked at, in bytes. Real ones have about 5,000.
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
)

// Quote is what the hardware says of one trust domain (TD), with the chain that signed it. Parsing believes
// nothing of it: [Verify] does the judging.
type Quote struct {
	// Version of the format: 4, or 5.
	Version uint16
	// TD15 is true where the body is that of TD 1.5.
	TD15 bool
	// TEETCBSVN are the security version numbers of the TDX module.
	TEETCBSVN [16]byte
	// MRSEAM measures the TDX module; MRSignerSEAM is zero for Intel's own.
	MRSEAM, MRSignerSEAM Measurement
	// SEAMAttributes are the attributes of the TDX module.
	SEAMAttributes [8]byte
	// TDAttributes are those of the TD; any bit of the first byte makes it one that can be debugged.
	TDAttributes [8]byte
	// XFAM are the CPU features that the TD may use.
	XFAM [8]byte
	// MRTD measures the firmware that the TD began with.
	MRTD Measurement
	// MRConfigID, MROwner and MROwnerConfig are chosen by the host at start; see [ParseMRConfigID].
	MRConfigID, MROwner, MROwnerConfig Measurement
	// RTMR are the run-time registers: 0 the virtual hardware, 1 the kernel, 2 its command line and initial
	// file system, 3 the events of dstack and of the app.
	RTMR [4]Measurement
	// ReportData is what the guest asked to be signed with it.
	ReportData [64]byte
	// TEETCBSVN2 and MRServiceTD are part of TD 1.5 only.
	TEETCBSVN2  [16]byte
	MRServiceTD Measurement

	raw      []byte // without the padding
	qeReport []byte
	pckChain []byte
}

// ParseQuote reads a quote of version 4, or of version 5 with the body of TD 1.0 or TD 1.5. Each length in it
// must be exact. Zero bytes may follow, because guests hand out their whole buffer.
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
	signed := r.sized(r.uint32())
	if r.short {
		return nil, fmt.Errorf("%d bytes, shorter than the quote announces", len(raw))
	}
	for i, b := range r.data {
		if b != 0 {
			return nil, fmt.Errorf("byte %d after the end of the quote is %#x, only zeros may follow", i, b)
		}
	}
	q.raw = raw[:len(raw)-len(r.data)]
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

// readSignature walks the signature section so that every length in it is known to be right: go-tdx-guest
// 0.3.1 slices by those lengths without looking, and panics where they are wrong.
func (q *Quote) readSignature(signed []byte) error {
	r := reader{data: signed}
	r.take(64) // signature
	r.take(64) // attestation key
	if kind := r.uint16(); !r.short && kind != certsQE {
		return fmt.Errorf("certification data of type %d, want %d", kind, certsQE)
	}
	certification := reader{data: r.sized(r.uint32())}
	if r.short || len(r.data) != 0 {
		return fmt.Errorf("signature of %d bytes: its lengths do not add up", len(signed))
	}
	q.qeReport = certification.take(qeReportSize)
	certification.take(64) // signature of the QE report
	certification.sized(uint32(certification.uint16()))
	if kind := certification.uint16(); !certification.short && kind != certsPCK {
		return fmt.Errorf("quoting enclave certified by data of type %d, want %d (a PCK chain)", kind, certsPCK)
	}
	q.pckChain = certification.sized(certification.uint32())
	if certification.short || len(certification.data) != 0 {
		return fmt.Errorf("certification data: its lengths do not add up")
	}
	return nil
}

// reader takes bytes from the front, and remembers when there were too few.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.data) {
		r.short, r.data = true, nil
		return make([]byte, min(n, body15Size))
	}
	taken := r.data[:n:n]
	r.data = r.data[n:]
	return taken
}

// sized is take for a length that somebody announced.
func (r *reader) sized(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)) {
		r.short, r.data = true, nil
		return nil
	}
	return r.take(int(n))
}

func (r *reader) uint16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

// decodeQuote reads a quote written as text: hexadecimal with or without "0x" as the API does, or base64,
// because the encoding within a certificate's description is not documented.
func decodeQuote(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) > 2*MaxQuote+2 {
		return nil, fmt.Errorf("quote of %d characters, want at most %d", len(text), 2*MaxQuote)
	}
	if raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x")); err == nil {
		return raw, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("quote %.20q…: neither hexadecimal nor base64", text)
	}
	return raw, nil
}
