package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
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
			return nil, ended(ctx, app)
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
	errs = append(errs, cfg.verifyNodes(ctx, result, all, forNodes))
	if ctx.Err() != nil {
		return nil, ended(ctx, app)
	}
	if running == 0 {
		return result, fmt.Errorf("verify app %s: %w: none of its %d instances runs", app, attest.ErrNotPossible, len(listed))
	}
	return result, errors.Join(errs...)
}

// listed is an instance as the cloud lists it.
type listed struct {
	openapi.AppAttestation
	app     string // as the cloud reports it
	private bool   // the app keeps its attestation private
	policy  attest.Policy
}

func (l *listed) verify(ctx context.Context, cfg *config) Instance {
	instance := Instance{CVM: cloudtext.Clean(l.VMUUID), Name: cloudtext.Clean(l.Name), Status: cloudtext.Clean(string(l.Status))}
	evidence, err := attest.FromApp(&openapi.AppAttestations{AppID: l.app, Instances: []openapi.AppAttestation{l.AppAttestation}})
	if err == nil {
		err = cfg.judge(ctx, &instance, evidence[0], l.policy)
	}
	if err != nil && l.Error != "" {
		err = fmt.Errorf("%w (%w)", err, reported(l.Error))
	}
	instance.fail(err)
	return instance
}

// awaitInstances lists the instances of an app, repeatedly if evidence of a running one is missing, for up to wait.
func awaitInstances(ctx context.Context, c *client.Client, app kms.AppID, wait time.Duration) (*openapi.AppAttestations, []listed, error) {
	began := time.Now()
	for {
		attestations, all, err := instancesOf(ctx, c, app)
		if err != nil || time.Since(began) >= wait || !incomplete(all) {
			return attestations, all, err
		}
		if err := pause.For(ctx, evidencePause); err != nil {
			return nil, nil, err
		}
	}
}

// incomplete reports whether evidence is missing that may appear.
func incomplete(all []listed) bool {
	running := 0
	for _, l := range all {
		if l.Status != "" && l.Status != "running" {
			continue
		}
		running++
		certified := slices.ContainsFunc(l.AppCertificates, func(c openapi.Certificate) bool { return c.Quote != "" })
		if l.Quote == "" && !certified && !l.private {
			return true
		}
	}
	return running == 0
}

// instancesOf lists the instances of an app, and the CVMs of it that are not among them, if the API key may list those.
func instancesOf(ctx context.Context, c *client.Client, app kms.AppID) (*openapi.AppAttestations, []listed, error) {
	attestations, err := c.Apps.GetAttestations(ctx, app.String())
	if err != nil {
		return nil, nil, err
	}
	var all []listed
	at := map[string]int{}
	for _, instance := range attestations.Instances {
		at[uuid.Bare(instance.VMUUID)] = len(all)
		all = append(all, listed{AppAttestation: instance, app: attestations.AppID})
	}
	cvms, err := c.Apps.ListCVMs(ctx, app.String())
	if errors.Is(err, client.ErrForbidden) || errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrNoAPIKey) {
		return attestations, all, nil // the app of another workspace, or a client without a key
	}
	if err != nil {
		return nil, nil, err
	}
	for _, cvm := range cvms {
		i, known := at[uuid.Bare(cvm.VMUUID)]
		if !known {
			i = len(all)
			all = append(all, listed{app: attestations.AppID, AppAttestation: openapi.AppAttestation{
				VMUUID: cvm.VMUUID, Name: cvm.Name, InstanceID: cvm.InstanceID, Status: cvm.Status, Error: notListed,
			}})
		}
		all[i].private = !shown(cvm.PublicTCBInfo)
	}
	return attestations, all, nil
}

// evidenceSeen detects the same evidence of two instances: the cloud could report the evidence of another CVM. The keys are hashes of quotes, and instance ids that the hardware measured.
type evidenceSeen map[string]string

// again returns an error if the evidence of the instance was seen before, and records it.
func (s evidenceSeen) again(i *Instance) error {
	if i.Report == nil || i.Report.Quote == nil || i.Bundle == nil {
		return nil
	}
	quote := sha256.Sum256(i.Bundle.Evidence.Quote)
	keys := []string{"quote " + string(quote[:])}
	if b := i.Report.Attested.BootEvents; b != nil && b.InstanceID != "" {
		keys = append(keys, "instance "+b.InstanceID)
	}
	for _, key := range keys {
		if other, twice := s[key]; twice {
			return fmt.Errorf("%w: the cloud reports the same evidence for %.200q", attest.ErrInstanceID, other)
		}
	}
	for _, key := range keys {
		s[key] = i.label()
	}
	return nil
}

// unwrapped returns the cause of an [Error].
func unwrapped(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
