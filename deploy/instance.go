package deploy

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// InstanceSpec is one more CVM of an app, with a document that the app runs already.
type InstanceSpec struct {
	// Name is the name of the new CVM; the platform chooses an empty one. Only newer servers support it.
	Name string
	// ComposeHash selects one of the documents of the [App]; zero is the present one.
	ComposeHash compose.Hash
	// NodeID or TeepodID pins the new CVM to a node; the platform chooses if they are zero.
	NodeID   NodeID
	TeepodID TeepodID
	// Env are the new CVM's secrets, with the names that the app allows; nil copies the app's.
	Env []compose.EnvVar
	// Devices are the machines that the contract of the app may allow for it. It never allows another document.
	Devices []kms.DeviceID
}

// AddInstance creates one more CVM of an app and returns when it runs and is verified. It behaves like [Replicate].
func AddInstance(ctx context.Context, c *client.Client, app *App, spec InstanceSpec, opts ...Option) (*App, error) {
	f, err := begin(inChange, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, err := f.planInstance(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("add an instance: %w", err)
	}
	if err := f.cfg.keep(p); err != nil {
		return nil, err
	}
	return f.finish(ctx, p)
}

func (f *flow) planInstance(ctx context.Context, spec InstanceSpec) (*Pending, error) {
	if err := checkNode("instance", spec.NodeID, spec.TeepodID); err != nil {
		return nil, err
	}
	if spec.Name != "" {
		if err := compose.ValidateName(spec.Name); err != nil {
			return nil, &InputError{Field: "InstanceSpec.Name", Err: err}
		}
	}
	hash := f.app.ComposeHash
	if spec.ComposeHash != (compose.Hash{}) {
		hash = spec.ComposeHash
	}
	name := spec.Name
	if name == "" {
		name = "app " + f.app.ID.String()
	}
	p, err := f.planCreation(ctx, creation{kind: PendingInstance, name: name, hash: hash, env: spec.Env, devices: spec.Devices})
	if err != nil {
		return nil, err
	}
	return p, p.setRequest(openapi.CreateInstanceRequest{
		Name: unlessZero(spec.Name), NodeID: unlessZero(int(spec.NodeID)), TeepodID: unlessZero(int(spec.TeepodID)),
		ComposeHash: openapi.Ptr(hash.String()), EncryptedEnv: unlessZero(p.EncryptedEnv),
	})
}

func (f *flow) makeInstance(ctx context.Context, p *Pending) error {
	var request openapi.CreateInstanceRequest
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return err
	}
	vm, err := f.c.Apps.CreateInstance(ctx, p.App.ID.String(), &request, client.WithoutRetry())
	return f.made(ctx, p, vm, answer{err, request})
}

// commitInstance posts to the same path once more, with the token instead of the content.
func (f *flow) commitInstance(ctx context.Context, p *Pending) error {
	vm, err := f.c.Apps.CreateInstance(ctx, p.App.ID.String(), &openapi.CreateInstanceRequest{
		Token: &p.Token, ComposeHash: openapi.Ptr(p.Approval.ComposeHash.String()), TransactionHash: &p.Approval.Transaction,
	}, client.WithoutRetry())
	if err != nil {
		return err
	}
	return f.createdAs(p, vm)
}
