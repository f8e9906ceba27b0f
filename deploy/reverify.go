package deploy

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
)

// askAgain is how soon [Reverify] asks again after a round in which it got no answer, unless its interval is
// shorter.
const askAgain = time.Minute

// Round is one verification of all instances of an app.
type Round struct {
	Time time.Time
	// Instances is nil where the cloud could not be asked; Err says why.
	Instances []InstanceReport
	// Drifts are what differs from the rounds before.
	Drifts []Drift
	// Err is nil where every running instance is verified; see [Verify].
	Err error
}

// Drift is a difference between a round and those before.
type Drift struct {
	// CVM is the vm_uuid of the instance, and Name its name.
	CVM, Name string
	// What has changed, such as "verified", "status", "compose hash" or "tcb".
	What string
	// Before and After are empty where the instance is new, or gone.
	Before, After string
}

func (d Drift) String() string {
	return fmt.Sprintf("%s (%s): %s was %q, is %q", d.Name, d.CVM, d.What, d.Before, d.After)
}

// Reverify verifies every instance of an app again and again, once each interval, beginning now. Each round is
// yielded, whatever it found: an instance that is no longer verified, new or gone is in it, and so is a cloud
// that could not be asked, after which the next round comes a minute later at the latest. An error is yielded
// last, where the policy cannot be used or the context has ended.
//
//	for round, err := range deploy.Reverify(ctx, c, app, policy, time.Hour) {
//		if err != nil {
//			return err
//		}
//		if round.Err != nil {
//			alarm(round.Err)
//		}
//	}
func Reverify(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy, interval time.Duration) iter.Seq2[Round, error] {
	return func(yield func(Round, error) bool) {
		policy, err := forApp(c, app, policy)
		if err == nil && interval <= 0 {
			err = fmt.Errorf("reverify app %s: interval %s, want more than 0", app, interval)
		}
		if err != nil {
			yield(Round{}, err)
			return
		}
		known, first := memory{}, true
		for {
			round := Round{Time: time.Now()}
			round.Instances, round.Err = verifyApp(ctx, c, app, policy)
			wait := interval
			switch {
			case ctx.Err() != nil:
				yield(Round{}, ended(ctx, app))
				return
			case round.Instances == nil:
				wait = min(interval, askAgain)
			default:
				round.Drifts = known.drifts(round.Instances)
				if first {
					first, round.Drifts = false, nil
				}
			}
			if !yield(round, nil) {
				return
			}
			if pause(ctx, wait) != nil {
				yield(Round{}, ended(ctx, app))
				return
			}
		}
	}
}

func ended(ctx context.Context, app kms.AppID) error {
	return fmt.Errorf("reverify app %s: %w", app, context.Cause(ctx))
}

// fact is a value of an instance that should stay as it is.
type fact struct{ what, value string }

func (r InstanceReport) facts() []fact {
	verified := "no"
	if r.Err == nil {
		verified = "yes"
	}
	all := []fact{{"status", r.Status}, {"verified", verified}}
	if r.Report == nil {
		return all
	}
	a := &r.Report.Attested
	if b := a.BootEvents; b != nil {
		all = append(all, fact{"compose hash", b.ComposeHash.String()}, fact{"instance id", b.InstanceID}, fact{"os image", b.OSImageHash})
		if b.KeyProvider != nil {
			all = append(all, fact{"key provider", b.KeyProvider.Name + " " + b.KeyProvider.ID})
		}
	}
	if a.TCB != nil {
		all = append(all, fact{"tcb", a.TCB.String()}, fact{"advisories", strings.Join(a.TCB.Advisories, ", ")})
	}
	return append(all, fact{"system", a.MRSystem}, fact{"device", a.DeviceID})
}

// memory is what the instances have told so far, by instance. A value that a round does not tell stays, so that
// a change is found whatever lies between.
type memory map[string]*remembered

type remembered struct {
	last  InstanceReport
	facts map[string]string
}

// drifts compares the instances with what is remembered, and remembers them.
func (m memory) drifts(instances []InstanceReport) []Drift {
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
			before, told := old.facts[f.what]
			if f.value == "" || told && before == f.value {
				continue
			}
			if old.facts[f.what] = f.value; told {
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

// key is what tells an instance from the others; replicas share a name.
func (r InstanceReport) key() string {
	if r.CVM != "" {
		return bareUUID(r.CVM)
	}
	return r.Name
}
