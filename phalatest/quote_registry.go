package phalatest

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/openapi"
)

// uploadedQuote is a quote in the public registry.
type uploadedQuote struct {
	checksum string
	raw      []byte
	quote    *openapi.ParsedQuote
	verified bool
	ours     bool // from a platform of this cloud
	uploaded time.Time
}

// maxQuotes is the number of quotes that the registry remembers.
const maxQuotes = 10_000

// A TDX quote of version 4: header, body, and signature data with its length before it.
const (
	quoteHeader = 48
	quoteBody   = 584
	quoteTDX    = 0x81
)

var errNoQuote = errors.New("not a TDX quote of version 4")

// parseQuote returns the header and body of a quote as the registry does.
func parseQuote(raw []byte) (*openapi.ParsedQuote, error) {
	if len(raw) < quoteHeader+quoteBody+4 || binary.LittleEndian.Uint16(raw) != 4 || binary.LittleEndian.Uint32(raw[4:]) != quoteTDX {
		return nil, errNoQuote
	}
	header, body := raw[:quoteHeader], raw[quoteHeader:quoteHeader+quoteBody]
	q := &openapi.ParsedQuote{Header: openapi.QuoteHeader{
		Version: 4, AKType: "ECDSA_P256", TEEType: "TEE_TDX", QEVendor: "0x" + hex.EncodeToString(header[12:28]),
		UserData: "0x" + hex.EncodeToString(header[28:48]),
	}}
	q.Body.TEETCBSVN, body = hex.EncodeToString(body[:16]), body[16:]
	b := &q.Body
	for _, f := range []struct {
		field *string
		size  int
	}{
		{&b.MRSeam, 48}, {&b.MRSignerSeam, 48}, {&b.SeamAttributes, 8}, {&b.TDAttributes, 8}, {&b.XFAM, 8}, {&b.MRTD, 48}, {&b.MRConfig, 48},
		{&b.MROwner, 48}, {&b.MROwnerConfig, 48}, {&b.RTMR0, 48}, {&b.RTMR1, 48}, {&b.RTMR2, 48}, {&b.RTMR3, 48}, {&b.ReportData, 64},
	} {
		*f.field, body = "0x"+hex.EncodeToString(body[:f.size]), body[f.size:]
	}
	return q, nil
}

// collateral returns the collateral of a quote, or nil for hardware that is not this cloud's.
func (u *uploadedQuote) collateral(s *Server) *openapi.QuoteCollateral {
	if !u.ours {
		return nil
	}
	return ref(s.hardware.authority.CloudCollateral())
}

func (s *Server) answerAttestationsVerify(c *call) *response {
	given, _, err := c.upload()
	if err != nil {
		return plainError(http.StatusBadRequest, err.Error())
	}
	raw := []byte(given)
	var request struct {
		Hex *string `json:"hex"`
	}
	text := strings.TrimSpace(given)
	if json.Unmarshal(c.body, &request) == nil && request.Hex != nil {
		text = strings.TrimSpace(*request.Hex)
	}
	text = strings.TrimPrefix(strings.ToLower(text), "0x")
	if decoded, err := hex.DecodeString(text); err == nil {
		raw = decoded
	} else if request.Hex != nil {
		return plainError(http.StatusBadRequest, "hex is not hexadecimal")
	}
	if len(raw) == 0 {
		return plainError(http.StatusBadRequest, "Neither file nor hex")
	}
	quote, err := parseQuote(raw)
	if err != nil {
		return invalidField(err.Error(), "body")
	}
	checksum := hashHex(raw)
	u := s.quotes[checksum]
	if u == nil {
		genuine, tcb := s.evaluateQuote(raw)
		u = &uploadedQuote{checksum: checksum, raw: raw, quote: quote, verified: genuine, ours: tcb != nil, uploaded: time.Now().UTC()}
		u.quote.Verified = &genuine
		s.quotes[checksum] = u
		s.recent = append(s.recent, u)
		if len(s.recent) > maxQuotes {
			delete(s.quotes, s.recent[0].checksum)
			s.recent = s.recent[1:]
		}
	}
	return ok(openapi.QuoteVerification{
		ID: openapi.ID("quote_" + checksum[:12]), Success: u.verified, Quote: u.quote, Checksum: checksum, CanDownload: ref(true),
		UploadedAt: second(u.uploaded), VerifiedAt: second(time.Now()), QuoteCollateral: u.collateral(s),
	})
}

func (s *Server) answerAttestationsListRecent(c *call) *response {
	skip, limit := c.number("skip", 0), c.number("limit", 20)
	from := min(skip, len(s.recent))
	to := min(from+limit, len(s.recent))
	return ok(mapped(newestFirst(s.recent).items(from, to), func(u *uploadedQuote) openapi.RecentQuote {
		return openapi.RecentQuote{Checksum: u.checksum, Verified: openapi.Flag(u.verified), CreatedAt: second(u.uploaded)}
	}))
}

func (*Server) answerAttestationsView(c *call) *response {
	q := c.quote.quote
	return ok(openapi.QuoteView{
		Header: q.Header, CertData: q.CertData, Body: q.Body, Verified: q.Verified, UploadedAt: second(c.quote.uploaded),
		Checksum: c.quote.checksum, CanDownload: ref(true),
	})
}

func (s *Server) answerAttestationsGetCollateral(c *call) *response {
	collateral := c.quote.collateral(s)
	if collateral == nil {
		return plainError(http.StatusBadRequest, "The collateral cannot be fetched")
	}
	out := ok(collateral)
	out.header = http.Header{"Cache-Control": {"public, max-age=86400"}, "Etag": {strconv.Quote(c.quote.checksum)}}
	return out
}

func (s *Server) answerAttestationsCheckRaw(c *call) *response { return s.answerAttestationsGetRaw(c) }

func (*Server) answerAttestationsGetRaw(c *call) *response {
	return &response{
		status: http.StatusOK, raw: c.quote.raw, media: "application/octet-stream",
		header: http.Header{"Content-Disposition": {"attachment; filename=" + c.quote.checksum + ".bin"}},
	}
}
