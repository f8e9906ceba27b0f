package sse_test

import (
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/sse"
)

func TestIdleReader(t *testing.T) {
	errBroken := errors.New("broken")
	for name, tt := range map[string]struct {
		pauses  []time.Duration // before each piece that arrives
		working time.Duration   // of the caller between two events
		events  int
		err     error
	}{
		"steady":              {[]time.Duration{59 * time.Second, 59 * time.Second}, 0, 2, io.EOF},
		"silent at once":      {[]time.Duration{61 * time.Second}, 0, 0, errBroken},
		"silent later":        {[]time.Duration{0, 61 * time.Second}, 0, 1, errBroken},
		"the caller's time":   {[]time.Duration{0, 0, 0}, time.Hour, 3, io.EOF},
		"never longer at all": {nil, 0, 0, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pr, pw := io.Pipe()
				var writer sync.WaitGroup
				defer writer.Wait()
				writer.Go(func() {
					for _, pause := range tt.pauses {
						time.Sleep(pause)
						if _, err := io.WriteString(pw, "data: a\n\n"); err != nil {
							return
						}
					}
					_ = pw.Close()
				})
				r := sse.NewReader(sse.IdleReader(pr, time.Minute, func() { _ = pw.CloseWithError(errBroken) }), 0)
				events := 0
				for {
					_, err := r.Next()
					if err != nil {
						require.ErrorIs(t, err, tt.err)
						break
					}
					events++
					time.Sleep(tt.working)
				}
				assert.Equal(t, tt.events, events)
			})
		})
	}
}

func TestComments_AreSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr, pw := io.Pipe()
		go func() {
			for range 100 {
				time.Sleep(50 * time.Second)
				_, _ = io.WriteString(pw, ":\n\n")
			}
			_, _ = io.WriteString(pw, "data: a\n\n")
			_ = pw.Close()
		}()
		r := sse.NewReader(sse.IdleReader(pr, time.Minute, func() { _ = pr.Close() }), 0)
		_, err := r.Next()
		require.NoError(t, err)
	})
}
