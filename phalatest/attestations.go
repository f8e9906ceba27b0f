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
)

// uploadedQuote is a quote in the public registry.
type uploadedQuote struct {
	checksum string
	raw      []byte
	quote    object
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
func parseQuote(raw []byte) (object, error) {
	if len(raw) < quoteHeader+quoteBody+4 || binary.LittleEndian.Uint16(raw) != 4 || binary.LittleEndian.Uint32(raw[4:]) != quoteTDX {
		return nil, errNoQuote
	}
	header, body := raw[:quoteHeader], raw[quoteHeader:quoteHeader+quoteBody]
	at := 0
	next := func(n int) string {
		at += n
		return "0x" + hex.EncodeToString(body[at-n:at])
	}
	fields := object{"tee_tcb_svn": strings.TrimPrefix(next(16), "0x")}
	for _, f := range []struct {
		name string
		size int
	}{
		{"mrseam", 48}, {"mrsignerseam", 48}, {"seamattributes", 8}, {"tdattributes", 8}, {"xfam", 8}, {"mrtd", 48}, {"mrconfig", 48},
		{"mrowner", 48}, {"mrownerconfig", 48}, {"rtmr0", 48}, {"rtmr1", 48}, {"rtmr2", 48}, {"rtmr3", 48}, {"reportdata", 64},
	} {
		fields[f.name] = next(f.size)
	}
	return object{
		"header": object{
			"version": 4, "ak_type": "ECDSA_P256", "tee_type": "TEE_TDX", "qe_vendor": "0x" + hex.EncodeToString(header[12:28]),
			"user_data": "0x" + hex.EncodeToString(header[28:48]),
		},
		"cert_data": "", "body": fields,
	}, nil
}

// collateral is what a quote is checked with: there is some for the hardware of this cloud alone.
func (u *uploadedQuote) collateral(s *Server) any {
	if !u.ours {
		return nil
	}
	return s.hardware.authority.CloudCollateral()
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
		u.quote["verified"] = u.verified
		s.quotes[checksum] = u
		s.recent = append(s.recent, u)
		if len(s.recent) > maxQuotes {
			delete(s.quotes, s.recent[0].checksum)
			s.recent = s.recent[1:]
		}
	}
	return ok(object{
		"id": strconv.Itoa(len(s.recent)), "success": u.verified, "proof_of_cloud": false, "quote": u.quote, "checksum": checksum,
		"can_download": true, "uploaded_at": stamp(u.uploaded), "verified_at": stamp(time.Now()), "quote_collateral": u.collateral(s),
		"node_provider": nil,
	})
}

func listRecentQuotes(s *Server, c *call) answer {
	skip, limit := c.number("skip", 0), c.number("limit", 20)
	all := []object{}
	for i := len(s.recent) - 1 - skip; i >= 0 && len(all) < limit; i-- {
		verified := 0
		if s.recent[i].verified {
			verified = 1
		}
		all = append(all, object{"checksum": s.recent[i].checksum, "verified": verified, "created_at": stamp(s.recent[i].uploaded)})
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
	view := object{"uploaded_at": stamp(u.uploaded), "checksum": u.checksum, "can_download": true}
	for name, value := range u.quote {
		view[name] = value
	}
	return ok(view)
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
