package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Result is one verification of an app.
type Result struct {
	App  kms.AppID `json:"app"`
	Time time.Time `json:"time"`
	// Instances are those that the cloud lists, running or not. That there are no others cannot be proven.
	Instances []Instance `json:"instances"`
}

// App verifies every instance of an app against policy. The error joins those of the running instances, and is
// [attest.ErrNotPossible] if none runs. An instance that the cloud reports as not running has nothing to show: its
// Err says so, and App returns no error for it.
//
// The app may belong to another workspace if it shows its attestation. Of an app of the own workspace each CVM must
// be among the instances. The result is nil only if the policy cannot be used or the cloud cannot be asked.
func App(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy, opts ...Option) (*Result, error) {
	policy, err := forApp(c, app, policy)
	if err != nil {
		return nil, err
	}
	if _, err := configure(opts); err != nil {
		return nil, err
	}
	return verifyApp(ctx, c, app, policy)
}

// forApp completes a policy for the instances of an app.
func forApp(c *client.Client, app kms.AppID, policy attest.Policy) (attest.Policy, error) {
	if err := policy.Validate(); err != nil {
		return policy, fmt.Errorf("verify app %s: %w", app, err)
	}
	if !policy.AppID.IsZero() && policy.AppID != app {
		return policy, fmt.Errorf("verify app %s: %w: it is for app %s", app, attest.ErrPolicy, policy.AppID)
	}
	policy.AppID = app
	if policy.Collateral == nil {
		policy.Collateral = attest.NewCollateralCache(CloudCollateral(c)).Collateral
	}
	return policy, nil
}

func verifyApp(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy) (*Result, error) {
	result := &Result{App: app, Time: time.Now(), Instances: []Instance{}}
	all, err := c.Apps.GetAttestations(ctx, app.String())
	if err != nil {
		return nil, fmt.Errorf("verify app %s: %w", app, err)
	}
	listed, err := withHidden(ctx, c, app, all.Instances)
	if err != nil {
		return nil, fmt.Errorf("verify app %s: %w", app, err)
	}
	var errs []error
	running := 0
	for _, one := range listed {
		instance := verifyInstance(ctx, all.AppID, one, policy)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("verify app %s: %w", app, context.Cause(ctx))
		}
		if instance.running() {
			running++
			errs = append(errs, instance.Err)
		}
		result.Instances = append(result.Instances, instance)
	}
	if running == 0 {
		return result, fmt.Errorf("verify app %s: %w: none of its %d instances runs", app, attest.ErrNotPossible, len(listed))
	}
	return result, errors.Join(errs...)
}

func verifyInstance(ctx context.Context, app string, listed openapi.AppAttestation, policy attest.Policy) Instance {
	instance := Instance{CVM: listed.VMUUID, Name: listed.Name, Status: string(listed.Status)}
	evidence, err := attest.FromApp(&openapi.AppAttestations{AppID: app, Instances: []openapi.AppAttestation{listed}})
	if err == nil {
		instance.Report, err = attest.Verify(ctx, evidence[0], policy)
	}
	if err != nil && listed.Error != "" {
		err = fmt.Errorf("%w (%w)", err, reported(listed.Error))
	}
	instance.fail(err)
	return instance
}

// withHidden adds the CVMs of the app that are not among its instances, if the API key may list them.
func withHidden(ctx context.Context, c *client.Client, app kms.AppID, instances []openapi.AppAttestation) ([]openapi.AppAttestation, error) {
	cvms, err := c.Apps.ListCVMs(ctx, app.String())
	if errors.Is(err, client.ErrForbidden) || errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrNoAPIKey) {
		return instances, nil // the app of another workspace, or a client without a key
	}
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, i := range instances {
		known[bareUUID(i.VMUUID)] = true
	}
	for _, cvm := range cvms {
		if !known[bareUUID(cvm.VMUUID)] {
			instances = append(instances, openapi.AppAttestation{
				VMUUID: cvm.VMUUID, Name: cvm.Name, InstanceID: cvm.InstanceID, Status: cvm.Status,
				Error: notListed,
			})
		}
	}
	return instances, nil
}
