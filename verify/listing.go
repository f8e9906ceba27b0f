package verify

import (
	"context"
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

// awaitInstances lists the instances of an app, again for a while if the evidence of a running one is not there yet.
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
