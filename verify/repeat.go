package verify

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
)

// retryInterval is the time after which [Repeat] tries again after a round without a response, unless its interval is
// shorter.
const retryInterval = time.Minute

// Round is one verification of all instances of an app.
type Round struct {
	Time time.Time
	// Result is nil if the cloud could not be reached; Err is the reason.
	Result *Result
	// Drifts are the differences from the rounds before.
	Drifts []Drift
	// Err is nil if every running instance is verified; see [App].
	Err error
}

// Drift is a difference between a round and those before.
type Drift struct {
	// CVM is the vm_uuid of the instance, and Name its name.
	CVM, Name string
	// What has changed, such as "verified", "status", "compose hash" or "tcb".
	What string
	// Before and After are empty if the instance is new, or gone.
	Before, After string
}

func (d Drift) String() string {
	return fmt.Sprintf("%.200q (%.200q): %s was %.200q, is %.200q", d.Name, d.CVM, d.What, d.Before, d.After)
}

// Repeat verifies every instance of an app once each interval ([WithInterval]), starting now. It yields each round,
// whatever its outcome: an instance that is no longer verified, new or gone, or a cloud that could not be reached,
// after which the next round follows within a minute. An error is yielded last, if the policy is invalid or the
// context has ended.
//
//	for round, err := range verify.Repeat(ctx, c, app, policy) {
//		if err != nil {
//			return err
//		}
//		if round.Err != nil || len(round.Drifts) > 0 {
//			alarm(round.Err, round.Drifts)
//		}
//	}
func Repeat(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy, opts ...Option) iter.Seq2[Round, error] {
	return func(yield func(Round, error) bool) {
		policy, err := appPolicy(app, policy)
		var cfg *config
		if err == nil {
			cfg, err = configure(opts, forRepeat)
		}
		if err != nil {
			yield(Round{}, err)
			return
		}
		known, first := memory{}, true
		for {
			round := Round{Time: time.Now()}
			round.Result, round.Err = verifyApp(ctx, c, app, policy, cfg)
			wait := cfg.interval
			switch {
			case ctx.Err() != nil:
				yield(Round{}, ended(ctx, app))
				return
			case round.Result == nil:
				wait = min(wait, retryInterval)
			default:
				round.Drifts = known.drifts(round.Result.Instances)
				if first {
					first, round.Drifts = false, nil
				}
			}
			if !yield(round, nil) {
				return
			}
			if pause.For(ctx, wait) != nil {
				yield(Round{}, ended(ctx, app))
				return
			}
		}
	}
}

func ended(ctx context.Context, app kms.AppID) error {
	return fmt.Errorf("verify app %s: %w", app, context.Cause(ctx))
}

// fact is a value of an instance that should stay as it is.
type fact struct{ what, value string }

func (i *Instance) facts() []fact {
	verified := "no"
	if i.Err == nil {
		verified = "yes"
	}
	all := []fact{{"status", i.Status}, {"verified", verified}}
	if i.Report == nil {
		return all
	}
	a := &i.Report.Attested
	if b := a.BootEvents; b != nil {
		all = append(all, fact{"compose hash", b.ComposeHash.String()}, fact{"instance id", b.InstanceID}, fact{"os image", b.OSImageHash})
		if b.KeyProvider != nil {
			all = append(all, fact{"key provider", b.KeyProvider.Name + " " + b.KeyProvider.ID})
		}
	}
	if a.TCB != nil {
		all = append(all, fact{"tcb", a.TCB.String()}, fact{"advisories", strings.Join(a.TCB.Advisories(), ", ")})
	}
	return append(all, fact{"system", a.MRSystem}, fact{"device", a.Devices.String()})
}

// memory contains the last values of the instances. It keeps values that are missing in a round, so that a later change
// is detected.
type memory map[string]*remembered

type remembered struct {
	last  Instance
	facts map[string]string
}

// drifts compares the instances with what is remembered, and remembers them.
func (m memory) drifts(instances []Instance) []Drift {
	var all []Drift
	seen := map[string]bool{}
	for _, r := range instances {
		seen[r.key()] = true
		old := m[r.key()]
		if old == nil {
			old = &remembered{facts: map[string]string{}}
			m[r.key()] = old
			all = append(all, Drift{CVM: r.CVM, Name: r.Name, What: "status", After: r.Status})
		}
		old.last = r
		for _, f := range r.facts() {
			before, seen := old.facts[f.what]
			if f.value == "" || seen && before == f.value {
				continue
			}
			if old.facts[f.what] = f.value; seen {
				all = append(all, Drift{CVM: r.CVM, Name: r.Name, What: f.what, Before: before, After: f.value})
			}
		}
	}
	for key, old := range m {
		if !seen[key] {
			delete(m, key)
			all = append(all, Drift{CVM: old.last.CVM, Name: old.last.Name, What: "status", Before: old.last.Status})
		}
	}
	return all
}

// key identifies an instance among the others; replicas share a name.
func (i *Instance) key() string {
	if i.CVM != "" {
		return uuid.Bare(i.CVM)
	}
	return i.Name
}
