package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// readTimeout limits the time of reading a body. The cloud itself gives up ten seconds after it began.
const readTimeout = 10 * time.Second

// read returns the exact bytes of a body, or the status to refuse it with.
func (h *Receiver) read(w http.ResponseWriter, r *http.Request) (body []byte, status int, err error) {
	if r.ContentLength > h.maxBody {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("%d bytes, want at most %d", r.ContentLength, h.maxBody)
	}
	lift := limitTime(w, r)
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		lift()
		return body, http.StatusOK, nil
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes", h.maxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, http.StatusRequestTimeout, fmt.Errorf("not read within %s", readTimeout)
	}
	return nil, http.StatusBadRequest, errors.New("broken off")
}

// limitTime limits the time of reading the body, if neither the server nor its connection does, so that a slow body
// does not block a connection. The returned function removes the limit: the deadline must not interrupt the work on
// the event. It stays if the body was not read to its end, because the server reads the rest.
func limitTime(w http.ResponseWriter, r *http.Request) func() {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ReadTimeout > 0 {
		return func() {}
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(readTimeout)) != nil {
		return func() {} // not a server of net/http
	}
	return func() { _ = control.SetReadDeadline(time.Time{}) }
}
