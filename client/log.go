package client

import (
	"log/slog"
	"net/http"
	"time"
)

// attempted is the outcome of an attempt.
type attempted struct {
	number int
	status int // 0 without a response
	err    error
	began  time.Time
}

func (c *Client) logAttempt(req *http.Request, p *plan, a attempted) {
	if c.logger == nil || !c.logger.Enabled(req.Context(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", p.name),
		slog.String("method", req.Method),
		slog.String("path", req.URL.Path),
		slog.Int("attempt", a.number),
		slog.Duration("took", time.Since(a.began)),
	}
	if a.status != 0 {
		attrs = append(attrs, slog.Int("status", a.status))
	}
	if a.err != nil {
		attrs = append(attrs, slog.Any("error", a.err))
	}
	c.logger.LogAttrs(req.Context(), slog.LevelDebug, "phala: call", attrs...)
}

func (c *Client) logRetry(req *http.Request, p *plan, err error, wait time.Duration) {
	if c.logger == nil {
		return
	}
	c.logger.LogAttrs(req.Context(), slog.LevelWarn, "phala: repeating a call",
		slog.String("operation", p.name),
		slog.Duration("wait", wait),
		slog.Any("error", err))
}
