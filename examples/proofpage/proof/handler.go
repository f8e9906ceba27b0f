// Package proof is an http.Handler that shows what the hardware proves of an app: as a page for people, as JSON for
// machines, and as bundles that verify offline.
//
//	mux.Handle("/proof", proof.Handler(func(ctx context.Context) (*verify.Result, error) {
//		return verify.App(ctx, c, appID, policy)
//	}, time.Minute))
package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/phala-go/phala/verify"
)

//go:embed page.html
var pageText string

//go:embed page.css
var style string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"short": short}).Parse(pageText))

// limit bounds one verification.
const limit = 2 * time.Minute

// handler shows one app. It verifies when somebody asks, at most once in an interval, so that requests cost the cloud
// nothing.
type handler struct {
	verify   func(context.Context) (*verify.Result, error)
	interval time.Duration
	policy   string // the Content-Security-Policy

	mu     sync.Mutex
	last   time.Time
	result *verify.Result
	err    error
}

// Handler shows what verifyApp found, which is called at most once in an interval. Its answers have status 200 if the
// app is verified, else 503.
//
// GET has three forms: a page, JSON (with "Accept: application/json" or ?format=json), and the bundles to verify
// offline (?format=bundle).
func Handler(verifyApp func(context.Context) (*verify.Result, error), interval time.Duration) http.Handler {
	sum := sha256.Sum256([]byte(style))
	return &handler{
		verify: verifyApp, interval: interval,
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", h.policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	format := r.URL.Query().Get("format")
	if format == "" && prefersJSON(r.Header.Get("Accept")) {
		format = "json"
	}
	var write func(*bytes.Buffer, *verify.Result, error) error
	switch format {
	case "":
		write = writePage
		header.Set("Content-Type", "text/html; charset=utf-8")
	case "json":
		write = writeJSON
		header.Set("Content-Type", "application/json")
	case "bundle":
		write = writeBundles
		header.Set("Content-Type", "application/json")
		header.Set("Content-Disposition", `attachment; filename="evidence.json"`)
	default:
		http.Error(w, "format must be json or bundle", http.StatusBadRequest)
		return
	}
	result, err := h.current(r.Context())
	var body bytes.Buffer
	if err := write(&body, result, err); err != nil {
		header.Del("Content-Disposition")
		http.Error(w, "the report cannot be written", http.StatusInternalServerError)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(body.Bytes())
}

// current returns a result that is not older than the interval. A visitor who leaves does not end a verification.
func (h *handler) current(ctx context.Context) (*verify.Result, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last.IsZero() || time.Since(h.last) >= h.interval {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		h.result, h.err = h.verify(ctx)
		h.last = time.Now()
	}
	return h.result, h.err
}

// prefersJSON reports whether an Accept header names JSON before HTML.
func prefersJSON(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(part, ";")
		switch strings.TrimSpace(media) {
		case "application/json":
			return true
		case "text/html", "*/*":
			return false
		}
	}
	return false
}

func writePage(w *bytes.Buffer, result *verify.Result, err error) error {
	return page.Execute(w, newView(result, err))
}

func writeJSON(w *bytes.Buffer, result *verify.Result, err error) error {
	answer := struct {
		Verified bool   `json:"verified"`
		Error    string `json:"error,omitempty"`
		*verify.Result
	}{Verified: err == nil, Result: result}
	if err != nil {
		answer.Error = err.Error()
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

func writeBundles(w *bytes.Buffer, result *verify.Result, _ error) error {
	if result == nil {
		w.WriteString("[]\n")
		return nil
	}
	return json.NewEncoder(w).Encode(result.Bundles())
}
