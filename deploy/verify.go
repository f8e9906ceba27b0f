package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// InstanceReport is what the hardware proves of one instance of an app.
type InstanceReport struct {
	// CVM is its vm_uuid, and Status its state, both the cloud's word.
	CVM    string `json:"cvm,omitempty"`
	Name   string `json:"name"`
	Status string `json:"status,omitempty"`
	// Report is nil where the evidence could not be read.
	Report *attest.Report `json:"report,omitempty"`
	// Err is nil where the instance is verified, else a [*VerificationError].
	Err error `json:"-"`
}

// running tells whether there is anything to verify.
func (r InstanceReport) running() bool { return r.Status == "" || r.Status == "running" }

// MarshalJSON has the text of the error.
func (r InstanceReport) MarshalJSON() ([]byte, error) {
	type plain InstanceReport
	text := ""
	if r.Err != nil {
		text = r.Err.Error()
	}
	return json.Marshal(struct {
		plain
		Error string `json:"error,omitempty"`
	}{plain(r), text})
}

// Verify verifies every instance of an app that runs already against policy. The error joins those of the
// running instances; it is [attest.ErrNotPossible], too, where none runs. An instance that the cloud says does
// not run has nothing to show: its report says so, and that is no error.
//
// The app may be somebody else's, where it shows its attestation. Of one's own each CVM must be among the instances.
// Where the policy names no source of collateral it is [CloudCollateral].
func Verify(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy) ([]InstanceReport, error) {
	policy, err := forApp(c, app, policy)
	if err != nil {
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

func verifyApp(ctx context.Context, c *client.Client, app kms.AppID, policy attest.Policy) ([]InstanceReport, error) {
	all, err := c.Apps.GetAttestations(ctx, app.String())
	if err != nil {
		return nil, fmt.Errorf("verify app %s: %w", app, err)
	}
	instances, err := withHidden(ctx, c, app, all.Instances)
	if err != nil {
		return nil, fmt.Errorf("verify app %s: %w", app, err)
	}
	reports := []InstanceReport{}
	var errs []error
	running := 0
	for _, instance := range instances {
		r := verifyInstance(ctx, all.AppID, instance, policy)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("verify app %s: %w", app, context.Cause(ctx))
		}
		if r.running() {
			running++
			errs = append(errs, r.Err)
		}
		reports = append(reports, r)
	}
	if running == 0 {
		return reports, fmt.Errorf("verify app %s: %w: none of its %d instances runs", app, attest.ErrNotPossible, len(reports))
	}
	return reports, errors.Join(errs...)
}

func verifyInstance(ctx context.Context, app string, instance openapi.AppAttestation, policy attest.Policy) InstanceReport {
	r := InstanceReport{CVM: instance.VMUUID, Name: instance.Name, Status: instance.Status}
	evidence, err := attest.FromApp(&openapi.AppAttestations{AppID: app, Instances: []openapi.AppAttestation{instance}})
	if err == nil {
		r.Report, err = attest.Verify(ctx, evidence[0], policy)
	}
	if err != nil && instance.Error != "" {
		err = fmt.Errorf("%w (%w)", err, says(instance.Error))
	}
	if err != nil {
		r.Err = &VerificationError{CVM: orName(instance), Report: r.Report, Err: err}
	}
	return r
}

func orName(instance openapi.AppAttestation) string {
	if instance.VMUUID != "" {
		return instance.VMUUID
	}
	return instance.Name
}

// withHidden adds the CVMs of the app that are not among its instances, where they are for the API key to know.
func withHidden(ctx context.Context, c *client.Client, app kms.AppID, instances []openapi.AppAttestation) ([]openapi.AppAttestation, error) {
	cvms, err := c.Apps.ListCVMs(ctx, app.String())
	if errors.Is(err, client.ErrForbidden) || errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrNoAPIKey) {
		return instances, nil // another workspace's app, or nobody's client
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
				Error: "it is not among the instances of the app",
			})
		}
	}
	return instances, nil
}
