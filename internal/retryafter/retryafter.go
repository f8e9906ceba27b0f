// Package retryafter parses the Retry-After header of HTTP.
package retryafter

import (
	"net/http"
	"strconv"
	"time"
)

// Parse returns the pause that a Retry-After header requests, in seconds or by a date, from now on. It reports false if
// the header is absent or malformed. The pause is never negative.
func Parse(h http.Header, now time.Time) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		const most = int64(1<<63-1) / int64(time.Second)
		return time.Duration(min(max(seconds, 0), most)) * time.Second, seconds >= 0
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, date.Sub(now)), true
	}
	return 0, false
}
