package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Headers of a delivery.
const (
	// HeaderID is the header with the id of the event. It is not signed.
	HeaderID = "X-Webhook-Id"
	// HeaderEvent is the header with the type of the event. It is not signed.
	HeaderEvent = "X-Webhook-Event"
	// HeaderTimestamp is the header with the signing time in Unix seconds.
	HeaderTimestamp = "X-Webhook-Timestamp"
	// HeaderSignature is the header with "sha256=" and 64 lower-case hex digits.
	HeaderSignature = "X-Webhook-Signature"
)

// UserAgent is the user agent of the cloud's deliveries.
const UserAgent = "PhalaCloud-Webhook/1.0"

const signaturePrefix = "sha256="

// signature is HMAC-SHA256 over timestamp, "." and the body. The key is the whole secret as text, with its
// "whsec_"; it is not decoded.
func signature(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}

// Sign returns the headers of a delivery of body by the cloud, signed with secret at a time. It is for tests of
// receivers. Id and type are those of the body, and left out if it has none.
func Sign(secret string, body []byte, at time.Time) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", UserAgent)
	h.Set(HeaderTimestamp, timestamp)
	h.Set(HeaderSignature, signature(secret, timestamp, body))
	var named struct {
		ID    string `json:"id"`
		Event string `json:"event"`
	}
	if json.Unmarshal(body, &named) == nil && named.ID != "" && named.Event != "" {
		h.Set(HeaderID, named.ID)
		h.Set(HeaderEvent, named.Event)
	}
	return h
}
