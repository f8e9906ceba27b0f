package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

// trial is one flow of the soak: an app is deployed and changed a few times, on a cloud of its own.
type trial struct {
	seed  uint64
	tally *tally
	dice  *dice
	rate  float64
	flow  string

	prefix string // of the names of the flows

	net      *network
	cloud    *phalatest.Server
	c, plain *client.Client // through the network, and without faults
	memory   *memoryChain   // nil with the central KMS, and on a real chain
	chain    deploy.Chain   // nil with the central KMS
	reads    allowances     // the same chain without faults
	with     options
	patience time.Duration // upper bound of the pause between two processes
	lifetime time.Duration // upper bound of the life of a process that is killed

	app       *deploy.App
	want      map[string]guest // by vm_uuid
	order     []string         // the vm_uuids, oldest first
	version   int              // of texts and secrets
	deployers int              // number of processes that deployed at once
	cleanups  []func()
}

// guest is the document and the secrets of a CVM.
type guest struct {
	hash compose.Hash
	env  []compose.EnvVar
}

// allowances reads what a contract allows.
type allowances interface {
	Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error)
}

type options struct{ run, change, prepare []deploy.Option }

// dice draws for one trial. It is safe for concurrent use.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed, stream uint64) *dice { return &dice{rng: rand.New(rand.NewPCG(seed, stream))} }

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

// often reports true in the given percentage of the draws.
func (d *dice) often(percent int) bool { return d.n(100) < percent }

func (t *trial) violate(format string, args ...any) {
	t.tally.violate(violation{t.seed, t.flow, fmt.Sprintf(format, args...)})
}

// Helper, Errorf, Fatalf and Cleanup let the cloud report a request that does not fit the description.
func (t *trial) Helper()                           {}
func (t *trial) Errorf(format string, args ...any) { t.violate(format, args...) }
func (t *trial) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *trial) Cleanup(fn func())                 { t.cleanups = append(t.cleanups, fn) }

// run is a whole trial in memory.
func (t *trial) run(ctx context.Context) {
	t.dice, t.patience, t.lifetime = newDice(t.seed, 1), time.Minute, 100*time.Second
	t.rate = []float64{0, 0.1, 0.29, 0.29, 0.5}[t.dice.n(5)]
	tick := []time.Duration{phalatest.DefaultTick, time.Second, 7 * time.Second}[t.dice.n(3)]
	opts := []phalatest.Option{phalatest.WithTick(tick)}
	if t.dice.often(20) {
		opts = append(opts, phalatest.WithOldEvidence())
	}
	var onChain deploy.Chain
	if t.dice.often(40) {
		chain, err := newMemoryChain()
		if err != nil {
			panic(err)
		}
		t.memory = chain
		opts = append(opts, phalatest.WithChain(chain))
	}
	t.start(opts...)
	if t.memory != nil {
		onChain, t.reads = account{t.memory, t.net}, t.memory
	}
	t.connect(onChain)
	t.flows(ctx, t.steps())
}

// start starts the cloud behind the network.
func (t *trial) start(opts ...phalatest.Option) {
	t.cloud = phalatest.New(t, append(opts, phalatest.WithRequestLog(0))...)
	t.net = &network{inner: t.cloud.Transport(), tally: t.tally, rng: rand.New(rand.NewPCG(t.seed, 2))}
}

// connect makes the clients and the options of the flows.
func (t *trial) connect(on deploy.Chain, opts ...client.Option) {
	var err error
	if t.plain, err = t.cloud.Client(); err != nil {
		panic(err)
	}
	if t.c, err = t.cloud.Client(append(opts, client.WithHTTPClient(&http.Client{Transport: t.net}))...); err != nil {
		panic(err)
	}
	t.chain = on
	verify := deploy.WithVerification(t.cloud.AttestationPolicy())
	if on != nil {
		chain, device := deploy.WithChain(on), deploy.TrustDeviceFromCloud()
		t.with = options{
			run: []deploy.Option{chain, device, verify}, change: []deploy.Option{chain, device, verify},
			prepare: []deploy.Option{chain, device},
		}
		return
	}
	root := deploy.WithKMSRoot(t.cloud.KMSRoot())
	t.with = options{
		run: []deploy.Option{root, deploy.WithTeamWallet(t.cloud.TeamWallet()), verify}, change: []deploy.Option{root, verify},
		prepare: []deploy.Option{root, deploy.TrustDeviceFromCloud()},
	}
}

// flows deploys an app, changes it a few times, and checks the cloud after each flow.
func (t *trial) flows(ctx context.Context, all []step) {
	defer func() {
		t.net.stopFaults()
		for _, fn := range slices.Backward(t.cleanups) {
			fn()
		}
	}()
	chosen := []step{{"Run", t.deploy}}
	for range 1 + t.dice.n(3) {
		chosen = append(chosen, all[t.dice.n(len(all))])
	}
	for _, s := range chosen {
		t.flow = t.prefix + s.name
		t.tally.flow(t.flow)
		t.net.setRate(t.rate)
		ok := s.do(ctx)
		t.net.stopFaults()
		if !ok {
			return
		}
		t.check(ctx)
	}
}

// check compares the CVMs of the cloud with the results of the flows.
func (t *trial) check(ctx context.Context) {
	listed, err := t.plain.Apps.ListCVMs(ctx, t.app.ID.String())
	if err != nil {
		t.violate("the CVMs of the app: %v", err)
		return
	}
	everything := 0
	for _, err := range t.plain.CVMs.All(ctx, nil) {
		if err != nil {
			t.violate("all CVMs: %v", err)
			return
		}
		everything++
	}
	if len(listed) != len(t.want) || everything != len(t.want) {
		t.violate("%d CVMs of the app, %d in all, want %d", len(listed), everything, len(t.want))
	}
	for id, want := range t.want {
		if err := t.plain.CVMs.WaitIdle(ctx, id); err != nil {
			t.violate("cvm %s: %v", id, err)
			continue
		}
		cvm, err := t.plain.CVMs.Get(ctx, id)
		if err != nil {
			t.violate("cvm %s: %v", id, err)
			continue
		}
		if cvm.ComposeHash != want.hash.String() || cvm.Status != "running" {
			t.violate("cvm %s is %s and runs %s, want %s", id, cvm.Status, cvm.ComposeHash, want.hash)
		}
		env, err := t.cloud.Env(id)
		if err != nil || !slices.Equal(env, want.env) {
			t.violate("cvm %s has other secrets than the last ones that were set: %v", id, err)
		}
	}
	for _, cvm := range t.app.CVMs {
		if _, known := t.want[cvm.ID]; !known {
			t.violate("the anchor has cvm %s, which no flow created", cvm.ID)
		}
	}
	for id, want := range t.want {
		if t.reads != nil && !t.allows(ctx, want.hash) {
			t.violate("cvm %s runs compose hash %s, which the contract does not allow", id, want.hash)
		}
	}
	if t.memory == nil {
		return
	}
	t.memory.mu.Lock()
	defer t.memory.mu.Unlock()
	if n := len(t.memory.apps); n < 1 || n > t.deployers {
		t.violate("%d contracts were deployed, want 1 to %d, the number of processes", n, t.deployers)
	}
}

// allows reports whether the contract of the app allows a hash.
func (t *trial) allows(ctx context.Context, hash compose.Hash) bool {
	a, err := t.reads.Allowance(ctx, t.app.ID, hash, kms.DeviceID{})
	if err != nil {
		t.violate("the contract of the app: %v", err)
	}
	return a.ComposeHash
}

// process is one run of a program, which may be killed: at a save, or at any time.
type process struct {
	ctx    context.Context
	cancel context.CancelFunc
	timer  *time.Timer // kills it at any time; may be nil
	tally  *tally

	mu            sync.Mutex
	dead          bool
	saves         int
	before, after int // number of the save before or after which it is killed; 0 is none
}

func (t *trial) process(ctx context.Context, mortal bool) *process {
	p := &process{tally: t.tally}
	p.ctx, p.cancel = context.WithCancel(ctx)
	if !mortal || t.rate == 0 {
		return p
	}
	switch draw := t.dice.n(100); {
	case draw < 20:
		p.after = 1 + t.dice.n(5)
	case draw < 28:
		p.before = 1 + t.dice.n(5)
	case draw < 45:
		life := time.Duration(t.dice.n(int(t.lifetime)))
		if t.dice.often(50) {
			life /= 50
		}
		p.timer = time.AfterFunc(life, func() { p.kill(killedAnywhere) })
	}
	return p
}

func (p *process) kill(how fault) {
	p.mu.Lock()
	dead := p.dead
	p.dead = true
	p.mu.Unlock()
	if !dead {
		p.tally.fault(how)
		p.cancel()
	}
}

// end ends the process and reports whether it was killed.
func (p *process) end() bool {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// save saves v as JSON, unless the process is killed before.
func (p *process) save(into *[]byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.saves++
	dies, written := p.saves == p.before || p.saves == p.after, !p.dead && p.saves != p.before
	dead := p.dead || dies
	if written {
		*into = data
	}
	p.mu.Unlock()
	if dies {
		p.kill(killedAtSave)
	}
	if dead {
		return errKilled
	}
	return nil
}

// saved is what a process has saved.
type saved struct{ state, pending []byte }

// The number of processes of one change, and how many of them have faults: the last ones must finish it.
const (
	processes = 12
	disturbed = 8
)

// repeat starts processes like a service: each continues from what the one before has saved, until one succeeds.
func (t *trial) repeat(ctx context.Context, do func(*process, *saved) error) bool {
	var s saved
	var err error
	for n := range processes {
		if n == disturbed {
			t.net.stopFaults()
		}
		p := t.process(ctx, n < disturbed)
		err = do(p, &s)
		killed := p.end()
		switch {
		case err == nil:
			return true
		case errors.Is(err, errAbandoned):
			return false
		case !killed:
			t.recordError(err)
		}
		if *verbose {
			fmt.Printf("%d %s, process %d (killed %t): %v\n", t.seed, t.flow, n, killed, err)
		}
		_ = pause.For(ctx, time.Duration(t.dice.n(int(t.patience))))
	}
	t.violate("it cannot be finished from the saved state: %v", err)
	return false
}

// errAbandoned ends a change that its caller abandons.
var errAbandoned = errors.New("abandoned")

// recordError counts an error by its kind, which must be a documented one.
func (t *trial) recordError(err error) {
	kind, typed := kindOf(err)
	t.tally.failure(kind)
	if !typed {
		t.violate("an error of no documented type: %v", err)
	}
	if strings.Contains(err.Error(), "secret-") {
		t.violate("an error shows a secret")
	}
}

// reread returns an anchor as another process reads it.
func (t *trial) reread(app *deploy.App) *deploy.App {
	data, err := json.Marshal(app)
	if err != nil {
		panic(err)
	}
	again, err := deploy.ParseApp(data)
	if err != nil {
		t.violate("the anchor cannot be read again: %v", err)
		return app
	}
	return again
}
