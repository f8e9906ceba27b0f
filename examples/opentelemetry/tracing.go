package main

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/phala-go/phala/client"
)

// tracing returns a middleware that records a span for each call, named by its operation. The span has the
// attributes of OpenTelemetry's conventions for HTTP clients that hold no secret: neither the query nor a body.
func tracing(tracer trace.Tracer) client.Middleware {
	return func(operation string, req *http.Request, next client.RoundTrip) (*http.Response, error) {
		ctx, span := tracer.Start(req.Context(), operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("http.request.method", req.Method),
			attribute.String("server.address", req.URL.Hostname()),
			attribute.String("url.path", req.URL.Path),
		))
		defer span.End()
		resp, err := next(req.WithContext(ctx))
		if err != nil {
			// The text of an error of the client shows no secret.
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
			return nil, err
		}
		span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
		return resp, nil
	}
}
