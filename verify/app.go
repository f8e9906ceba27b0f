package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
)

// Result is one verification of an app.
type Result struct {
	App  kms.AppID `json:"app"`
	Time time.Time `json:"time"`
	// Instances are those that the cloud lists, running or not. That there are no others cannot be proven.
	Instances []Instance `json:"instances"`
	// KMS and Gateway are the nodes that the app depends on: the KMS of its keys, and the gateway in front of it.
	// They are verified under the hardware part of the policy, for information only; the verification includes them
	// only with [WithKMS] and [WithGateway]. Only the cloud reports that they are those of this app, unless their
	// options pin them.
	KMS     *Instance `json:"kms,omitempty"`
	Gateway *Instance `json:"gateway,omitempty"`

	kmsAsked, gatewayAsked bool
}

// App verifies every instance of an app against policy. The error joins those of the running instances, and is
// [attest.ErrNotPossible] if none runs. An instance that the cloud reports as not running and that has no quote is no
// error of App; its own Err has the reason. Two instances with the same evidence are an error,
// [attest.ErrInstanceID].
//
// The app may belong to another workspace if its attestation is public. If it belongs to the own workspace, each of
// its CVMs must be among the instances. The result is nil only if the policy is invalid or the cloud cannot be
// reached.
func App(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy, opts ...Option) (*Result, error) {
	policy, err := appPolicy(app, policy)
	if err != nil {
		return nil, err
	}
	cfg, err := configure(opts, forApp)
	if err != nil {
		return nil, err
	}
	return verifyApp(ctx, c, app, policy, cfg)
}

// Bundles returns the bundles of the instances, the KMS and the gateway, for writing as JSON and reading with
// [attest.ParseBundles].
func (r *Result) Bundles() []*attest.Bundle {
	var all []*attest.Bundle
	for _, i := range r.all() {
		if i.Bundle != nil {
			all = append(all, i.Bundle)
		}
	}
	return all
}

// all returns the instances, the KMS and the gateway.
func (r *Result) all() []*Instance {
	var all []*Instance
	for i := range r.Instances {
		all = append(all, &r.Instances[i])
	}
	for _, node := range []*Instance{r.KMS, r.Gateway} {
		if node != nil {
			all = append(all, node)
		}
	}
	return all
}

// appPolicy completes a policy for the instances of an app.
func appPolicy(app kms.AppID, policy attest.Policy) (attest.Policy, error) {
	if err := policy.Validate(); err != nil {
		return policy, fmt.Errorf("verify app %s: %w", app, err)
	}
	if !policy.AppID.IsZero() && policy.AppID != app {
		return policy, fmt.Errorf("verify app %s: %w: it is for app %s", app, attest.ErrPolicy, policy.AppID)
	}
	policy.AppID = app
	return policy, nil
}

func verifyApp(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy, cfg *config) (*Result, error) {
	result := &Result{App: app, Time: time.Now(), Instances: []Instance{}, kmsAsked: cfg.kms != nil, gatewayAsked: cfg.gateway != nil}
	all, listed, err := awaitInstances(ctx, c, app, cfg.wait)
	if err != nil {
		return nil, fmt.Errorf("verify app %s: %w", app, err)
	}
	public := policy.Collateral
	if public == nil {
		public = attest.NewCollateralCache(CloudCollateral(c)).Collateral
	}
	var errs []error
	running, shown := 0, evidenceSeen{}
	for _, one := range listed {
		one.policy = policy
		switch {
		case policy.Collateral != nil:
		case one.private:
			one.policy.Collateral = noCollateral
		default:
			one.policy.Collateral = public
		}
		instance := one.verify(ctx, cfg)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("verify app %s: %w", app, context.Cause(ctx))
		}
		if err := shown.again(&instance); err != nil {
			instance.fail(errors.Join(err, unwrapped(instance.Err)))
		}
		if instance.counts() {
			running++
			errs = append(errs, instance.Err)
		}
		result.Instances = append(result.Instances, instance)
	}
	forNodes := policy
	forNodes.Collateral = public
	errs = append(errs, cfg.linked(ctx, result, all, forNodes))
	if ctx.Err() != nil {
		return nil, fmt.Errorf("verify app %s: %w", app, context.Cause(ctx))
	}
	if running == 0 {
		return result, fmt.Errorf("verify app %s: %w: none of its %d instances runs", app, attest.ErrNotPossible, len(listed))
	}
	return result, errors.Join(errs...)
}
