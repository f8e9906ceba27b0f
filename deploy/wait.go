package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Wait follows the CVM until it runs and no operation is under way, verifies it as [Run] does, and returns what
// became of the deployment. A CVM that stops short of that is a [*BootError]; a context that ends is its error,
// and the CVM goes on booting.
func Wait(ctx context.Context, c *client.Client, st *State, opts ...Option) (*Result, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	return wait(ctx, c, st, cfg)
}

func wait(ctx context.Context, c *client.Client, st *State, cfg *config) (*Result, error) {
	if err := st.in(PhaseCreated, PhaseRunning); err != nil {
		return nil, err
	}
	if err := c.CVMs.WaitFor(ctx, st.CVM, "running", cfg.stateProgress()); err != nil {
		return nil, bootError(st, err)
	}
	cvm, err := c.CVMs.Get(ctx, st.CVM)
	if err != nil {
		return nil, fmt.Errorf("cvm %s runs, but: %w", st.CVM, err)
	}
	if err := st.isOurs(cvm); err != nil {
		return nil, err
	}
	st.Phase = PhaseRunning
	cfg.progress(RunningEvent{CVM: cvm})
	if err := cfg.checkpoint(st); err != nil {
		return nil, err
	}
	check, report, err := cfg.verify(ctx, c, cvm, st.AppID, st.ComposeHash, afterBoot)
	if err != nil {
		return nil, err
	}
	return &Result{State: *st, CVM: cvm, URLs: urls(cvm), Checks: append(slices.Clone(st.Checks), check), Report: report}, nil
}

// stateProgress reports each state that differs from the one before.
func (c *config) stateProgress() client.WaitOption {
	var last StateEvent
	return client.WithWaitProgress(func(s client.StateEvent) {
		if e := (StateEvent{Status: string(s.State.Status), BootProgress: s.State.BootProgress}); e != last {
			last = e
			c.progress(e)
		}
	})
}

// isOurs compares what the cloud says is running with what was deployed. It is still the cloud's word.
func (s *State) isOurs(cvm *openapi.CVMDetail) error {
	if cvm.AppID != "" {
		id, err := kms.ParseAppID(cvm.AppID)
		if err != nil {
			return fmt.Errorf("the app id of cvm %s: %w", s.CVM, err)
		}
		if _, err := compare(CheckAppID, s.AppID.String(), id.String()); err != nil {
			return err
		}
	}
	if cvm.ComposeHash == "" || s.ComposeHash == (compose.Hash{}) {
		return nil
	}
	remote, err := compose.ParseHash(cvm.ComposeHash)
	if err != nil {
		return fmt.Errorf("the compose hash of cvm %s: %w", s.CVM, err)
	}
	_, err = compare(CheckComposeHash, s.ComposeHash.String(), remote.String())
	return err
}

func bootError(st *State, err error) error {
	var wait *client.WaitError
	if !errors.As(err, &wait) || wait.State == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("wait for cvm %s: %w", st.CVM, err)
	}
	return &BootError{
		CVM:      st.CVM,
		Status:   string(wait.State.Status),
		Progress: wait.State.BootProgress,
		Text:     wait.State.BootError,
		Err:      err,
	}
}

func urls(cvm *openapi.CVMDetail) []string {
	var all []string
	for _, e := range cvm.Endpoints {
		if e.App != "" {
			all = append(all, e.App)
		}
	}
	return all
}
