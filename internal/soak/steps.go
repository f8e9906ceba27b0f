package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
)

// step is one flow of a trial. It reports whether the trial can continue.
type step struct {
	name string
	do   func(context.Context) bool
}

// steps are the flows that change an app.
func (t *trial) steps() []step {
	all := []step{
		{"Update", t.update}, {"Update", t.update}, {"Rollback", t.rollback}, {"Replicate", t.replicate}, {"AddInstance", t.addInstance},
		{"Prepare, Approve, Commit, Finish", t.prepare}, {"PrepareReplica, Approve, Commit, Finish", t.prepareReplica}, {"Attach", t.attach}, {"two at once: Replicate, AddInstance", t.growTwice},
		{"two at once: Update", t.updateTwice}, {"Update, lands late", t.lateUpdate},
	}
	if t.chain != nil {
		all = append(all, step{"Retire", t.retire})
	}
	return all
}

func (t *trial) secrets() []compose.EnvVar {
	t.version++
	return []compose.EnvVar{{Key: "TOKEN", Value: fmt.Sprintf("secret-%d-%d", t.seed, t.version)}, {Key: "URL", Value: fmt.Sprint("secret-url-", t.version)}}
}

func (t *trial) text() string {
	t.version++
	return fmt.Sprintf("services:\n  web:\n    image: nginx:1.%d\n    environment:\n      TOKEN: ${TOKEN}\n      URL: ${URL}\n", t.version)
}

// deploy deploys the app, sometimes from two independent processes.
func (t *trial) deploy(ctx context.Context) bool {
	doc, err := compose.New(t.text(), compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		panic(err)
	}
	spec := deploy.Spec{Name: "web-1", Compose: doc, Env: t.secrets(), InstanceType: "tdx.small"}
	t.deployers = 1
	if t.rate > 0 && t.prefix == "" && t.dice.often(10) {
		t.deployers = 2
		t.tally.fault(concurrentCalls)
	}
	made := make([]*deploy.App, t.deployers)
	ok := t.together(t.deployers, func(i int) bool {
		return t.repeat(ctx, func(p *process, s *saved) (err error) {
			opts := append(slices.Clone(t.with.run), deploy.WithCheckpoint(func(st *deploy.State) error { return p.save(&s.state, st) }))
			if s.state == nil {
				made[i], err = deploy.Run(p.ctx, t.c, spec, opts...)
				return err
			}
			st, err := deploy.ParseState(s.state)
			if err != nil {
				t.violate("the state cannot be read: %v", err)
				return errAbandoned
			}
			made[i], err = deploy.Resume(p.ctx, t.c, spec, st, opts...)
			if api := (*client.APIError)(nil); t.deployers > 1 && errors.As(err, &api) && api.Code == client.CodeDuplicateCVMName {
				s.state = nil // the other process was faster: Run continues with its CVM
			}
			return err
		})
	})
	if !ok {
		return false
	}
	t.app = t.reread(made[0])
	hash := made[0].ComposeHash
	t.want = map[string]guest{}
	for _, app := range made {
		if app.ID != t.app.ID || app.CVMs[0].ID != t.app.CVMs[0].ID {
			t.violate("two processes deployed cvm %s of app %s and cvm %s of app %s", t.app.CVMs[0].ID, t.app.ID, app.CVMs[0].ID, app.ID)
		}
	}
	t.expect(t.app.CVMs[0].ID, guest{hash, spec.Env})
	return true
}

// expect sets the expected state of a CVM.
func (t *trial) expect(id string, g guest) {
	if _, known := t.want[id]; !known {
		t.order = append(t.order, id)
	}
	t.want[id] = g
}

// together runs some callers at once.
func (t *trial) together(callers int, do func(int) bool) bool {
	if callers == 1 {
		return do(0)
	}
	ok := make([]bool, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { ok[i] = do(i) })
	}
	all.Wait()
	return !slices.Contains(ok, false)
}

// complete makes one change of the anchor with as many processes as necessary.
func (t *trial) complete(ctx context.Context, begin func(context.Context, ...deploy.Option) (*deploy.App, error)) (app *deploy.App, ok bool) {
	return t.completeUntil(ctx, begin, func(app *deploy.App, err error) (*deploy.App, error) { return app, err })
}

// completeUntil is complete with a function that can replace the result of a process.
func (t *trial) completeUntil(ctx context.Context, begin func(context.Context, ...deploy.Option) (*deploy.App, error), finish func(*deploy.App, error) (*deploy.App, error)) (app *deploy.App, ok bool) {
	ok = t.repeat(ctx, func(p *process, s *saved) (err error) {
		opts := append(slices.Clone(t.with.change), deploy.WithPending(func(pending *deploy.Pending) error { return p.save(&s.pending, pending) }))
		if s.pending == nil {
			app, err = finish(begin(p.ctx, opts...))
			return err
		}
		pending, err := deploy.ParsePending(s.pending)
		if err != nil {
			t.violate("the pending change cannot be read: %v", err)
			return errAbandoned
		}
		app, err = finish(deploy.Finish(p.ctx, t.c, pending, opts...))
		return err
	})
	if !ok {
		return nil, false
	}
	return t.reread(app), true
}

// one draws a CVM of the anchor.
func (t *trial) one() deploy.CVM { return t.app.CVMs[t.dice.n(len(t.app.CVMs))] }

// change draws a change of a CVM and returns its expected state after it.
func (t *trial) change(cvm deploy.CVM) (deploy.UpdateSpec, guest) {
	spec, after := deploy.UpdateSpec{CVM: cvm.ID}, t.want[cvm.ID]
	kind := t.dice.n(5)
	if kind == 0 || kind == 2 || kind == 3 {
		spec.DockerCompose = t.text()
	}
	if kind == 1 || kind == 2 {
		spec.Env = t.secrets()
		after.env = spec.Env
	}
	if kind == 3 {
		spec.PreLaunchScript = fmt.Sprintf("#!/bin/sh\necho %d\n", t.version)
	}
	if kind == 4 || t.dice.often(20) {
		spec.UserConfig = openapi.Ptr(fmt.Sprint("config ", t.version))
	}
	after.hash = t.hashAfter(spec)
	spec.RetireOld = t.chain != nil && t.dice.often(30)
	return spec, after
}

// hashAfter returns the hash of the anchor's document after an update.
func (t *trial) hashAfter(spec deploy.UpdateSpec) compose.Hash {
	doc, err := t.app.Compose()
	if err != nil {
		panic(err)
	}
	if spec.DockerCompose != "" {
		doc.DockerComposeFile = &spec.DockerCompose
	}
	if spec.PreLaunchScript != "" {
		doc.PreLaunchScript = &spec.PreLaunchScript
	}
	hash, err := doc.Hash()
	if err != nil {
		panic(err)
	}
	return hash
}

// maybeSecrets draws whether new secrets are set, and sets them in the expected state too.
func (t *trial) maybeSecrets(after *guest) []compose.EnvVar {
	if !t.dice.often(50) {
		return nil
	}
	after.env = t.secrets()
	return after.env
}

func (t *trial) update(ctx context.Context) bool {
	cvm := t.one()
	spec, after := t.change(cvm)
	app, ok := t.complete(ctx, func(ctx context.Context, opts ...deploy.Option) (*deploy.App, error) {
		return deploy.Update(ctx, t.c, t.app, spec, opts...)
	})
	if !ok {
		return false
	}
	t.app = app
	t.expect(cvm.ID, after)
	if spec.RetireOld {
		t.checkRetired(ctx, cvm.ComposeHash)
	}
	return true
}

// checkRetired checks that a hash which no CVM runs is not allowed any more.
func (t *trial) checkRetired(ctx context.Context, hash compose.Hash) {
	for _, g := range t.want {
		if g.hash == hash {
			return
		}
	}
	if t.allows(ctx, hash) {
		t.violate("compose hash %s was retired and is still allowed", hash)
	}
}

func (t *trial) rollback(ctx context.Context) bool {
	if len(t.app.Revisions) == 0 {
		return t.update(ctx)
	}
	cvm, to := t.one(), t.app.Revisions[t.dice.n(len(t.app.Revisions))]
	spec, after := deploy.RollbackSpec{CVM: cvm.ID, ComposeHash: to.ComposeHash}, guest{to.ComposeHash, t.want[cvm.ID].env}
	if after.hash == cvm.ComposeHash || t.dice.often(50) {
		spec.Env = t.secrets()
		after.env = spec.Env
	}
	app, ok := t.complete(ctx, func(ctx context.Context, opts ...deploy.Option) (*deploy.App, error) {
		return deploy.Rollback(ctx, t.c, t.app, spec, opts...)
	})
	if ok {
		t.app = app
		t.expect(cvm.ID, after)
	}
	return ok
}

// growth is one more CVM: how it is created, and its expected state.
type growth struct {
	begin func(context.Context, ...deploy.Option) (*deploy.App, error)
	after guest
}

func (t *trial) replica() growth {
	cvm := t.one()
	after := t.want[cvm.ID]
	spec := deploy.ReplicaSpec{CVM: cvm.ID, Env: t.maybeSecrets(&after)}
	return growth{func(ctx context.Context, opts ...deploy.Option) (*deploy.App, error) {
		return deploy.Replicate(ctx, t.c, t.app, spec, opts...)
	}, after}
}

func (t *trial) instance() growth {
	after := guest{t.app.ComposeHash, t.want[t.order[0]].env}
	spec := deploy.InstanceSpec{Env: t.maybeSecrets(&after)}
	if t.dice.often(50) {
		t.version++
		spec.Name = fmt.Sprint("web-instance-", t.version)
	}
	return growth{func(ctx context.Context, opts ...deploy.Option) (*deploy.App, error) {
		return deploy.AddInstance(ctx, t.c, t.app, spec, opts...)
	}, after}
}

func (t *trial) replicate(ctx context.Context) bool   { return t.grow(ctx, t.replica()) }
func (t *trial) addInstance(ctx context.Context) bool { return t.grow(ctx, t.instance()) }

func (t *trial) growTwice(ctx context.Context) bool {
	t.tally.fault(concurrentCalls)
	second := t.instance
	if t.dice.often(50) {
		second = t.replica
	}
	return t.grow(ctx, t.replica(), second())
}

// grow makes one more CVM for each of some concurrent callers with the same anchor.
func (t *trial) grow(ctx context.Context, want ...growth) bool {
	made := make([]*deploy.App, len(want))
	ok := t.together(len(want), func(i int) (ok bool) {
		made[i], ok = t.complete(ctx, want[i].begin)
		return ok
	})
	if !ok {
		return false
	}
	for i, app := range made {
		cvm := app.CVMs[len(app.CVMs)-1]
		if _, known := t.want[cvm.ID]; known {
			t.violate("two callers got cvm %s", cvm.ID)
		}
		t.expect(cvm.ID, want[i].after)
		if i > 0 {
			t.app.CVMs = append(t.app.CVMs, cvm)
			continue
		}
		t.app = app
	}
	return true
}

// prepare makes an update that is prepared, approved and committed by different processes.
func (t *trial) prepare(ctx context.Context) bool {
	cvm := t.app.CVMs[0]
	spec, after := t.change(cvm)
	spec.RetireOld, spec.UserConfig = false, nil
	if spec.DockerCompose == "" {
		spec.DockerCompose = t.text()
		after.hash = t.hashAfter(spec)
	}
	app, ok := t.prepared(ctx, func(ctx context.Context, opts ...deploy.Option) (*deploy.Pending, error) {
		return deploy.Prepare(ctx, t.c, t.app, spec, opts...)
	})
	if ok {
		t.app = app
		t.expect(cvm.ID, after)
	}
	return ok
}

// prepareReplica makes a replica that is prepared, approved and committed by different processes.
func (t *trial) prepareReplica(ctx context.Context) bool {
	cvm := t.one()
	after := t.want[cvm.ID]
	spec := deploy.ReplicaSpec{CVM: cvm.ID, Env: t.maybeSecrets(&after)}
	app, ok := t.prepared(ctx, func(ctx context.Context, opts ...deploy.Option) (*deploy.Pending, error) {
		return deploy.PrepareReplica(ctx, t.c, t.app, spec, opts...)
	})
	if ok {
		t.app = app
		t.expect(app.CVMs[len(app.CVMs)-1].ID, after)
	}
	return ok
}

// prepared prepares a change, approves, commits and finishes it. A client without an API key may commit.
func (t *trial) prepared(ctx context.Context, begin func(context.Context, ...deploy.Option) (*deploy.Pending, error)) (app *deploy.App, ok bool) {
	expires := t.lifetime > time.Second && t.dice.often(5)
	ok = t.repeat(ctx, func(p *process, s *saved) (err error) {
		keep := deploy.WithPending(func(pending *deploy.Pending) error { return p.save(&s.pending, pending) })
		if s.pending == nil {
			if _, err := begin(p.ctx, append(slices.Clone(t.with.prepare), keep)...); err != nil {
				return err
			}
			if expires {
				expires = false
				time.Sleep(15 * 24 * time.Hour)
			}
		}
		pending, err := deploy.ParsePending(s.pending)
		if err != nil {
			t.violate("the pending change cannot be read: %v", err)
			return errAbandoned
		}
		if pending.Approval.Transaction == "" && t.chain == nil {
			pending.Approved(common.Hash{})
		}
		if pending.Approval.Transaction == "" {
			journal := deploy.WithApproval(func(*deploy.Approval) error { return p.save(&s.pending, pending) })
			if err := deploy.Approve(p.ctx, t.chain, &pending.Approval, journal); err != nil {
				return err
			}
			if err := p.save(&s.pending, pending); err != nil {
				return err
			}
		}
		if err := deploy.Commit(p.ctx, t.c, pending, keep); err != nil {
			if errors.Is(err, client.ErrHashInvalidOrExpired) {
				s.pending = nil // superseded by a preparation of its own that came late
			}
			return err
		}
		app, err = deploy.Finish(p.ctx, t.c, pending, append(slices.Clone(t.with.change), keep)...)
		return err
	})
	if !ok {
		return nil, false
	}
	return t.reread(app), true
}

// attach replaces the anchor, like a caller who has lost it.
func (t *trial) attach(ctx context.Context) bool {
	var hashes []compose.Hash
	for _, g := range t.want {
		if !slices.Contains(hashes, g.hash) {
			hashes = append(hashes, g.hash)
		}
	}
	if len(hashes) > 1 {
		return true // several documents run; Attach needs one
	}
	opts := []deploy.Option{deploy.WithKMSRoot(t.cloud.KMSRoot())}
	if t.chain != nil {
		opts = []deploy.Option{deploy.WithChain(t.chain)}
	}
	var app *deploy.App
	ok := t.repeat(ctx, func(p *process, _ *saved) (err error) {
		app, err = deploy.Attach(p.ctx, t.c, t.app.ID, t.cloud.AttestationPolicy(), opts...)
		return err
	})
	if !ok {
		return false
	}
	if app.ComposeHash != hashes[0] || app.Document == "" || len(app.CVMs) != len(t.want) {
		t.violate("Attach found %d CVMs with compose hash %s (%s), want %d with %s", len(app.CVMs), app.ComposeHash, app.Unproven, len(t.want), hashes[0])
	}
	t.app = t.reread(app)
	return true
}

// updateTwice changes one CVM from two callers at once. One of them may be overtaken. The CVM must have the document and
// the secrets of the same change.
func (t *trial) updateTwice(ctx context.Context) bool {
	t.tally.fault(concurrentCalls)
	cvm := t.one()
	specs, after, made := make([]deploy.UpdateSpec, 2), make([]guest, 2), make([]*deploy.App, 2)
	before := t.want[cvm.ID]
	for i := range specs {
		specs[i] = deploy.UpdateSpec{CVM: cvm.ID, DockerCompose: t.text(), Env: t.secrets()}
		after[i] = guest{t.hashAfter(specs[i]), specs[i].Env}
	}
	t.together(2, func(i int) (ok bool) {
		made[i], ok = t.completeUntil(ctx, func(ctx context.Context, opts ...deploy.Option) (*deploy.App, error) {
			return deploy.Update(ctx, t.c, t.app, specs[i], opts...)
		}, t.unlessOvertaken)
		return ok
	})
	t.net.stopFaults()
	if err := t.plain.CVMs.WaitIdle(ctx, cvm.ID); err != nil {
		t.violate("cvm %s: %v", cvm.ID, err)
		return false
	}
	detail, err := t.plain.CVMs.Get(ctx, cvm.ID)
	if err != nil {
		t.violate("cvm %s: %v", cvm.ID, err)
		return false
	}
	t.want[cvm.ID] = before
	for i, g := range after {
		if detail.ComposeHash == g.hash.String() {
			t.want[cvm.ID] = g
			if made[i] != nil {
				t.app = made[i]
				return true
			}
		}
	}
	t.check(ctx)
	return false // a caller that was overtaken must attach again
}

// unlessOvertaken abandons a change if another caller changed the CVM.
func (t *trial) unlessOvertaken(app *deploy.App, err error) (*deploy.App, error) {
	var mismatch *deploy.MismatchError
	if errors.As(err, &mismatch) && mismatch.What == deploy.ComparedComposeHash {
		t.recordError(err)
		return nil, errAbandoned
	}
	return app, err
}

// lateUpdate abandons an update whose commit the server performs after a newer update. The next flow must detect that.
func (t *trial) lateUpdate(ctx context.Context) bool {
	t.net.setRate(0)
	cvm := t.app.CVMs[0]
	old, newer := deploy.UpdateSpec{DockerCompose: t.text(), Env: t.secrets()}, deploy.UpdateSpec{DockerCompose: t.text(), Env: t.secrets()}
	hash := t.hashAfter(old)
	t.net.mu.Lock()
	t.net.overtaken = true
	t.net.mu.Unlock()
	if _, err := deploy.Update(client.WithOptions(ctx, client.WithoutRetry()), t.c, t.app, old, t.with.change...); err == nil {
		t.violate("an update whose commit was lost succeeded")
	} else {
		t.recordError(err)
	}
	app, err := deploy.Update(ctx, t.c, t.app, newer, t.with.change...)
	if err != nil {
		t.violate("an update after an abandoned one: %v", err)
		return false
	}
	t.app = app
	t.net.stopFaults()
	if err := t.plain.CVMs.WaitIdle(ctx, cvm.ID); err != nil {
		t.violate("cvm %s: %v", cvm.ID, err)
	}
	_, err = deploy.Update(ctx, t.c, t.app, deploy.UpdateSpec{Env: t.secrets()}, t.with.change...)
	var mismatch *deploy.MismatchError
	if !errors.As(err, &mismatch) || mismatch.What != deploy.ComparedComposeHash {
		t.violate("an old update landed after a newer one, and the next flow returned: %v", err)
	}
	t.expect(cvm.ID, guest{hash, old.Env})
	t.check(ctx)
	return false
}

// retire removes the documents that no CVM runs from the contract.
func (t *trial) retire(ctx context.Context) bool {
	var spec deploy.RetireSpec
	for _, r := range t.app.Revisions {
		if !slices.ContainsFunc(t.app.CVMs, func(c deploy.CVM) bool { return c.ComposeHash == r.ComposeHash }) {
			spec.ComposeHashes = append(spec.ComposeHashes, r.ComposeHash)
		}
	}
	var app *deploy.App
	ok := t.repeat(ctx, func(p *process, _ *saved) (err error) {
		app, err = deploy.Retire(p.ctx, t.chain, t.app, spec)
		return err
	})
	if !ok {
		return false
	}
	t.app = t.reread(app)
	for _, hash := range spec.ComposeHashes {
		t.checkRetired(ctx, hash)
	}
	return true
}
