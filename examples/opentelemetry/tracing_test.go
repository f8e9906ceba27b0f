package main

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/phalatest"
)

func TestTracing_RecordsASpanForEachCall(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorder)).Tracer("test")
	cloud := phalatest.New(t)
	c, err := cloud.Client(client.WithMiddleware(tracing(tracer)))
	require.NoError(t, err)
	cloud.Fault("CVMs.List", phalatest.Fault{Status: http.StatusServiceUnavailable})
	require.NoError(t, inventory(t.Context(), tracer, c))

	spans := recorder.Ended()
	require.Len(t, spans, 3)
	list, get, work := spans[0], spans[1], spans[2]
	assert.Equal(t, []string{"CVMs.List", "CVMs.Get", "inventory"}, []string{list.Name(), get.Name(), work.Name()}, "a call that was repeated is one span")
	assert.Equal(t, work.SpanContext().SpanID(), list.Parent().SpanID())
	assert.Contains(t, list.Attributes(), attribute.Int("http.response.status_code", 200))
	assert.Equal(t, codes.Error, get.Status().Code)
	assert.Contains(t, get.Status().Description, "404")
	for _, span := range spans {
		for _, a := range span.Attributes() {
			assert.NotContains(t, a.Value.Emit(), cloud.APIKey)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	assert.Contains(t, out.String(), `"Name": "CVMs.Get"`)
	assert.Contains(t, out.String(), `"Name": "inventory"`)
}
