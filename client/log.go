package client

import (
	"log/slog"
	"net/http"
	"time"
)

func (c *Client) logAttempt(req *http.Request, rt *route, status int, err error, attempt int, began time.Time) {
	if c.logger == nil || !c.logger.Enabled(req.Context(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", operationName(req, rt)),
		slog.String("method", req.Method),
		slog.String("path", req.URL.Path),
		slog.Int("attempt", attempt),
		slog.Duration("took", time.Since(began)),
	}
	if status != 0 {
		attrs = append(attrs, slog.Int("status", status))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	c.logger.LogAttrs(req.Context(), slog.LevelDebug, "phala: call", attrs...)
}

func (c *Client) logRetry(req *http.Request, rt *route, err error, wait time.Duration) {
	if c.logger == nil {
		return
	}
	c.logger.LogAttrs(req.Context(), slog.LevelWarn, "phala: repeating a call",
		slog.String("operation", operationName(req, rt)),
		slog.Duration("wait", wait),
		slog.Any("error", err))
}
