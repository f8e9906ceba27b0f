package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
)

func TestSoak_FindsNothing(t *testing.T) {
	tally := newTally()
	run(t, tally, 1, 20, 2)
	assert.Empty(t, tally.violations)
	assert.GreaterOrEqual(t, tally.flows["Run"], 20)
	assert.Greater(t, len(tally.faults), 15, "most faults occur")
}

// A change outside of the flows is a violation.
func TestSoak_FindsViolations(t *testing.T) {
	for want, change := range map[string]func(context.Context, *trial) error{
		"2 CVMs of the app, 2 in all, want 1": func(ctx context.Context, tr *trial) error {
			_, err := tr.plain.CVMs.Replicate(ctx, tr.app.CVMs[0].ID, nil, nil)
			return err
		},
		"has other secrets than the last ones": func(ctx context.Context, tr *trial) error {
			app, err := deploy.Update(ctx, tr.plain, tr.app, deploy.UpdateSpec{Env: tr.secrets()}, tr.with.change...)
			tr.app = app
			return err
		},
		"want 0000000000000000000000000000000000000000000000000000000000000000": func(_ context.Context, tr *trial) error {
			id := tr.app.CVMs[0].ID
			tr.want[id] = guest{env: tr.want[id].env}
			return nil
		},
		"which no flow created": func(_ context.Context, tr *trial) error {
			tr.app.CVMs = append(tr.app.CVMs, deploy.CVM{ID: "other"})
			return nil
		},
		"an error of no documented type: oops": func(_ context.Context, tr *trial) error {
			tr.recordError(errors.New("oops"))
			return nil
		},
		"an error shows a secret": func(_ context.Context, tr *trial) error {
			tr.recordError(fmt.Errorf("%w of secret-1", deploy.ErrExpired))
			return nil
		},
		"it cannot be finished from the saved state": func(ctx context.Context, tr *trial) error {
			tr.repeat(ctx, func(*process, *saved) error { return deploy.ErrOtherSpec })
			return nil
		},
		"is stopped and runs": func(ctx context.Context, tr *trial) error {
			_, err := tr.plain.CVMs.Shutdown(ctx, tr.app.CVMs[0].ID)
			if err == nil {
				err = tr.plain.CVMs.WaitFor(ctx, tr.app.CVMs[0].ID, openapi.CVMStopped)
			}
			return err
		},
	} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tally := newTally()
				tr := &trial{tally: tally, dice: newDice(1, 1), patience: 1, lifetime: 1}
				tr.start()
				defer func() { tr.net.stopFaults(); tr.cloud.Close() }()
				tr.connect(nil)
				require.True(t, tr.deploy(t.Context()))
				tr.check(t.Context())
				require.Empty(t, tally.violations)
				require.NoError(t, change(t.Context(), tr))
				tr.check(t.Context())
				require.NotEmpty(t, tally.violations)
				assert.Contains(t, tally.violations[0].text, want)
			})
		})
	}
}

// A goroutine that is left when a flow ends is a violation.
func TestSoak_FindsLeakedGoroutines(t *testing.T) {
	tally := newTally()
	tr := &trial{tally: tally}
	tr.inBubble(t, func(context.Context) { go func() { select {} }() })
	require.Len(t, tally.violations, 1)
	assert.Contains(t, tally.violations[0].text, "blocked goroutines remain")
}
