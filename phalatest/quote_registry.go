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

// maxQuotes is how many quotes the registry remembers.
const maxQuotes = 10_000

// A TDX quote of version 4: header, body, and signature data with its length before it.
const (
	quoteHeader = 48
	quoteBody   = 584
	quoteTDX    = 0x81
)

var errNoQuote = errors.New("not a TDX quote of version 4")

// parseQuote reads header and body of a quote, as the registry shows them.
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

// collateral is what a quote is checked with: there is some for the hardware of this cloud alone.
func (u *uploadedQuote) collateral(s *Server) *openapi.QuoteCollateral {
	if !u.ours {
		return nil
	}
	return ref(s.hardware.authority.CloudCollateral())
}

func verifyQuote(s *Server, c *call) answer {
	given, _, err := c.upload()
	if err != nil {
		return plain(http.StatusBadRequest, err.Error())
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
		return plain(http.StatusBadRequest, "hex is not hexadecimal")
	}
	if len(raw) == 0 {
		return plain(http.StatusBadRequest, "Neither file nor hex")
	}
	quote, err := parseQuote(raw)
	if err != nil {
		return invalid(err.Error(), "value_error", "body")
	}
	checksum := hashHex(raw)
	u := s.quotes[checksum]
	if u == nil {
		genuine, tcb := s.judge(raw)
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

func listRecentQuotes(s *Server, c *call) answer {
	skip, limit := c.number("skip", 0), c.number("limit", 20)
	var all []openapi.RecentQuote
	for i := len(s.recent) - 1 - skip; i >= 0 && len(all) < limit; i-- {
		u := s.recent[i]
		all = append(all, openapi.RecentQuote{Checksum: u.checksum, Verified: openapi.Flag(u.verified), CreatedAt: second(u.uploaded)})
	}
	return ok(all)
}

func onQuote(h func(*Server, *uploadedQuote) answer) handler {
	return func(s *Server, c *call) answer {
		u := s.quotes[strings.ToLower(c.params["checksum"])]
		if u == nil {
			return plain(http.StatusNotFound, "No such quote")
		}
		return h(s, u)
	}
}

func viewQuote(_ *Server, u *uploadedQuote) answer {
	return ok(openapi.QuoteView{
		Header: u.quote.Header, CertData: u.quote.CertData, Body: u.quote.Body, Verified: u.quote.Verified, UploadedAt: second(u.uploaded),
		Checksum: u.checksum, CanDownload: ref(true),
	})
}

func getCollateral(s *Server, u *uploadedQuote) answer {
	collateral := u.collateral(s)
	if collateral == nil {
		return plain(http.StatusBadRequest, "The collateral cannot be fetched")
	}
	a := ok(collateral)
	a.header = http.Header{"Cache-Control": {"public, max-age=86400"}, "Etag": {strconv.Quote(u.checksum)}}
	return a
}

func getRawQuote(_ *Server, u *uploadedQuote) answer {
	return answer{
		status: http.StatusOK, raw: u.raw, media: "application/octet-stream",
		header: http.Header{"Content-Disposition": {"attachment; filename=" + u.checksum + ".bin"}},
	}
}
