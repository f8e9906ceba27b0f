package client

import (
	"context"

	"github.com/phala-go/phala/openapi"
)

// WaitIdle returns when no operation runs on a CVM any more, so that a call that changes it does not return
// [ErrBusy]. The result of the operation is not checked. It returns a [*WaitError] with the last state if the context
// ends or the API refuses the call, such as for a deleted CVM.
//
// Another operation may start at any time; [WithConflictWait] repeats the call itself.
func (s *CVMsService) WaitIdle(ctx context.Context, cvmID string, opts ...WaitOption) error {
	const target = "idle"
	cfg, err := newWaitConfig(opts)
	if err != nil {
		return err
	}
	w := &waiter{waitConfig: cfg, cvms: s, cvm: cvmID, target: target}
	return w.poll(ctx, w.idle)
}

// idle requests the CVM once, and reports whether the wait is over.
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
