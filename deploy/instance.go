package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Instance asks for one more CVM of an app, with the app's current app-compose or a new one.
type Instance struct {
	// AppID is the app.
	AppID kms.AppID
	// NodeID pins the new CVM to a node; 0 is the platform's choice.
	NodeID int
	// DockerCompose is another docker-compose file; empty is the app's.
	DockerCompose string
	// PreLaunchScript is another pre-launch script; empty is the app's.
	PreLaunchScript string
	// Env are the new CVM's secrets, with the names that the app allows; nil copies the app's.
	Env []compose.EnvVar
}

// AddInstance makes one more CVM of an app and returns when it runs. What is said of [Replicate] holds here.
func AddInstance(ctx context.Context, c *client.Client, in Instance, opts ...Option) (*Changed, error) {
	return oneMore(ctx, c, opts, func(cfg *config) (*Pending, error) { return planInstance(ctx, c, in, cfg) })
}

func planInstance(ctx context.Context, c *client.Client, in Instance, cfg *config) (*Pending, error) {
	if in.AppID.IsZero() {
		return nil, errors.New("instance: AppID is required")
	}
	if err := notNegative("instance", size{"NodeID", in.NodeID}); err != nil {
		return nil, err
	}
	app, err := c.Apps.Get(ctx, in.AppID.String())
	if err != nil {
		return nil, fmt.Errorf("instance of app %s: %w", in.AppID, err)
	}
	if app.CurrentCVM == nil {
		return nil, fmt.Errorf("instance of app %s: the app has no CVM to take the app-compose from", in.AppID)
	}
	cvm, err := c.CVMs.Get(ctx, app.CurrentCVM.VMUUID)
	if err != nil {
		return nil, fmt.Errorf("instance of app %s: %w", in.AppID, err)
	}
	p := &Pending{Kind: PendingInstance, Name: "app " + in.AppID.String()}
	if err := p.takeCVM(cvm); err != nil {
		return nil, err
	}
	if _, err := compare(CheckAppID, in.AppID.String(), p.AppID.String()); err != nil {
		return nil, err
	}
	if err := p.predictInstance(ctx, c, cvm, in, cfg); err != nil {
		return nil, err
	}
	request := openapi.CreateInstanceRequest{
		NodeID:            unlessZero(in.NodeID),
		DockerComposeFile: unlessZero(in.DockerCompose),
		PreLaunchScript:   unlessZero(in.PreLaunchScript),
	}
	if in.Env != nil {
		encrypted, err := p.encryptFor(ctx, c, cvm, in.Env, cfg)
		if err != nil {
			return nil, err
		}
		request.EncryptedEnv = &encrypted
	}
	data, err := json.Marshal(request)
	p.Request = openapi.Secret(data)
	return p, err
}

// predictInstance computes the compose hash of an instance with another app-compose.
func (p *Pending) predictInstance(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, in Instance, cfg *config) error {
	if in.DockerCompose == "" && in.PreLaunchScript == "" {
		return nil
	}
	before, exact, err := appCompose(ctx, c, cvm)
	if err != nil {
		return err
	}
	after, err := Change{CVM: cvm.Name, DockerCompose: in.DockerCompose, PreLaunchScript: in.PreLaunchScript}.apply(before)
	if err != nil {
		return err
	}
	u := &plannedUpdate{cvm: cvm}
	if err := u.predict(after, exact); err != nil {
		return err
	}
	if u.want == nil {
		return fmt.Errorf("instance of app %s: %w: %s", in.AppID, ErrUnpredictable, u.reason)
	}
	p.ComposeHash = *u.want
	return nil
}

func makeInstance(ctx context.Context, c *client.Client, p *Pending, cfg *config) error {
	var request openapi.CreateInstanceRequest
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return err
	}
	vm, err := c.Apps.CreateInstance(ctx, p.AppID.String(), &request)
	return p.made(vm, err, request, cfg)
}

// commitInstance posts to the same path once more, with the token instead of the content.
func commitInstance(ctx context.Context, c *client.Client, p *Pending, cfg *config) error {
	vm, err := c.Apps.CreateInstance(ctx, p.AppID.String(), &openapi.CreateInstanceRequest{
		Token: &p.Token, ComposeHash: openapi.Ptr(p.ComposeHash.String()), TransactionHash: &p.Transaction,
	})
	if err != nil {
		return err
	}
	return p.createdAs(vm, cfg)
}
