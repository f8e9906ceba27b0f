package client

import (
	"context"

	"github.com/phala-go/phala/openapi"
)

// WaitIdle returns when no operation runs on a CVM any more, so that a call that would change it is not
// answered with [ErrBusy]. It says nothing about how the operation ended. The end of the context and a
// refusal of the API, such as for a CVM that is gone, are a [*WaitError] with the last state.
//
// Another operation may begin at any time; [WithConflictWait] repeats the call itself.
func (s *CVMsService) WaitIdle(ctx context.Context, cvmID string, opts ...WaitOption) error {
	const target = "idle"
	cfg, err := newWaitConfig(opts)
	if err != nil {
		return err
	}
	w := &waiter{waitConfig: cfg, cvms: s, cvm: cvmID, target: target}
	return w.poll(ctx, w.idle)
}

// idle asks once, and says whether waiting is over.
func (w *waiter) idle(ctx context.Context) (over bool, err error) {
	cvm, err := w.get(ctx)
	if cvm == nil {
		return false, err
	}
	if !isBusy(cvm) {
		w.see(openapi.CVMState{Status: cvm.Status})
		return true, nil
	}
	if w.last == nil || w.last.Status != cvm.Status {
		w.see(w.describe(ctx, cvm.Status))
	}
	return false, nil
}
