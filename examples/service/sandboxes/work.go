package sandboxes

import (
	"context"
	"sync"
)

// work runs the deployments, one at a time for each name. Its context is the service's and not that of a request.
type work struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	names  map[string]bool
	all    sync.WaitGroup
}

func newWork() *work {
	w := &work{names: map[string]bool{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// start runs do in the background. It reports whether it does: not if one of that name runs, or the service is closed.
func (w *work) start(name string, do func(context.Context)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names[name] || w.ctx.Err() != nil {
		return false
	}
	w.names[name] = true
	w.all.Go(func() {
		do(w.ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.names, name)
	})
	return true
}

func (w *work) busy(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[name]
}

func (w *work) close() {
	w.mu.Lock()
	w.cancel()
	w.mu.Unlock()
	w.all.Wait()
}
