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

// Replica asks for one more CVM as another one is: same app, same app-compose.
type Replica struct {
	// CVM identifies the one that is copied, in every form that the API takes.
	CVM string
	// NodeID pins the new one to a node; 0 is the platform's choice.
	NodeID int
	// ComposeHash chooses the revision where several run; nil is that of CVM.
	ComposeHash *compose.Hash
	// Env are the new one's secrets, with the names that the app allows; nil copies those of CVM.
	Env []compose.EnvVar
}

// Replicate makes one more CVM and returns when it runs. The API makes a new one at each call, so Replicate
// sends it once: where the answer is lost, it looks for a CVM of the app that was not there before.
// [WithPending] saves what [Continue] needs to do the same after a crash.
//
// Where the chain must allow the device or the hash first it does as [Update] does.
func Replicate(ctx context.Context, c *client.Client, r Replica, opts ...Option) (*Changed, error) {
	return oneMore(ctx, c, opts, func(cfg *config) (*Pending, error) { return planReplica(ctx, c, r, cfg) })
}

// oneMore plans one more CVM, saves the plan, and carries it out.
func oneMore(ctx context.Context, c *client.Client, opts []Option, plan func(*config) (*Pending, error)) (*Changed, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	p, err := plan(cfg)
	if err != nil {
		return nil, err
	}
	if err := cfg.keep(p); err != nil {
		return nil, err
	}
	return finish(ctx, c, p, cfg)
}

// PrepareReplica prepares a replica as [Prepare] prepares a change: nothing is made until it is allowed on
// chain and committed.
func PrepareReplica(ctx context.Context, c *client.Client, r Replica, opts ...Option) (*Pending, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	p, err := planReplica(ctx, c, r, cfg)
	if err != nil {
		return nil, err
	}
	var request openapi.ReplicateRequest
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return nil, err
	}
	prepared, err := prepareReplica(ctx, c, p.CVM, request)
	if err != nil {
		return nil, fmt.Errorf("prepare a replica of %s: %w", p.Name, err)
	}
	if err := p.take(prepared, cfg); err != nil {
		return nil, err
	}
	return p, cfg.keep(p)
}

func planReplica(ctx context.Context, c *client.Client, r Replica, cfg *config) (*Pending, error) {
	if r.CVM == "" {
		return nil, errors.New("replica: CVM is required")
	}
	if err := notNegative("replica", size{"NodeID", r.NodeID}); err != nil {
		return nil, err
	}
	cvm, err := c.CVMs.Get(ctx, r.CVM)
	if err != nil {
		return nil, fmt.Errorf("replicate %s: %w", r.CVM, err)
	}
	p := &Pending{Kind: PendingReplica, CVM: handle(cvm), Name: cvm.Name}
	request := openapi.ReplicateRequest{NodeID: unlessZero(r.NodeID)}
	if err := p.takeCVM(cvm); err != nil {
		return nil, err
	}
	if r.ComposeHash != nil {
		p.ComposeHash = *r.ComposeHash
		request.ComposeHash = openapi.Ptr(r.ComposeHash.String())
	}
	if r.Env != nil {
		encrypted, err := p.encryptFor(ctx, c, cvm, r.Env, cfg)
		if err != nil {
			return nil, err
		}
		request.EncryptedEnv = &encrypted
	}
	data, err := json.Marshal(request)
	p.Request = openapi.Secret(data)
	return p, err
}

// takeCVM keeps the app of an existing CVM and what it runs.
func (p *Pending) takeCVM(cvm *openapi.CVMDetail) error {
	var err error
	if p.AppID, err = kms.ParseAppID(cvm.AppID); err != nil {
		return fmt.Errorf("the app id of cvm %s: %w", cvm.Name, err)
	}
	if p.ComposeHash, err = compose.ParseHash(cvm.ComposeHash); err != nil {
		return fmt.Errorf("the compose hash of cvm %s: %w", cvm.Name, err)
	}
	return nil
}

// encryptFor encrypts secrets for the app of an existing CVM, whose app-compose must allow each of them.
func (p *Pending) encryptFor(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, env []compose.EnvVar, cfg *config) (openapi.Secret, error) {
	if err := kms.CheckEnv(env); err != nil {
		return "", err
	}
	if err := cfg.canCheckKey(cvm.Name); err != nil {
		return "", err
	}
	app, _, err := appCompose(ctx, c, cvm)
	if err != nil {
		return "", err
	}
	if _, err := (Change{CVM: cvm.Name, AllowedEnvs: app.AllowedEnvs, Env: env}).names(app.AllowedEnvs); err != nil {
		return "", err
	}
	encrypted, checks, err := encryptedFor(ctx, c, cvm, p.AppID, env, cfg)
	p.Checks = append(p.Checks, checks...)
	return encrypted, err
}

// encryptedFor encrypts secrets for the checked key of an existing CVM's app.
func encryptedFor(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, app kms.AppID, env []compose.EnvVar, cfg *config) (openapi.Secret, []Check, error) {
	st := &State{Name: cvm.Name, AppID: app}
	st.takeKMS(cvm.KMSInfo)
	key, checks, err := envKey(ctx, c, st, cfg)
	if err != nil {
		return "", nil, err
	}
	ciphertext, err := kms.EncryptEnv(env, key)
	if err != nil {
		return "", nil, err
	}
	cfg.report(checks)
	cfg.progress(EncryptedEvent{Names: envNames(env), Bytes: len(ciphertext) / 2})
	return openapi.Secret(ciphertext), checks, nil
}

func prepareReplica(ctx context.Context, c *client.Client, cvm string, request openapi.ReplicateRequest) (*Pending, error) {
	vm, err := c.CVMs.Replicate(ctx, cvm, &request, &openapi.CVMsReplicateParams{PrepareOnly: openapi.Ptr(true)})
	if err == nil {
		return nil, fmt.Errorf("the cloud made cvm %s at once; its KMS is on no chain", vm.VMUUID)
	}
	return pendingOf(err, PendingReplica, request)
}

// take keeps what the cloud prepared for p, after comparing it with what was asked for.
func (p *Pending) take(prepared *Pending, cfg *config) error {
	if _, err := compare(CheckAppID, p.AppID.String(), prepared.AppID.String()); err != nil {
		return err
	}
	check, err := compare(CheckComposeHash, p.ComposeHash.String(), prepared.ComposeHash.String())
	if err != nil {
		return err
	}
	p.Checks = append(p.Checks, check)
	p.Token, p.Expires, p.DeviceID = prepared.Token, prepared.Expires, prepared.DeviceID
	p.ChainID, p.KMSContract = prepared.ChainID, prepared.KMSContract
	cfg.report([]Check{check})
	return nil
}

// makeReplica asks for the replica once. A refusal that wants the chain first is taken into p.
func makeReplica(ctx context.Context, c *client.Client, p *Pending, cfg *config) error {
	var request openapi.ReplicateRequest
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return err
	}
	vm, err := c.CVMs.Replicate(ctx, p.CVM, &request, nil)
	return p.made(vm, err, request, cfg)
}

// made takes the answer to a call that makes a CVM, or that wants the chain first.
func (p *Pending) made(vm *openapi.VM, err error, request any, cfg *config) error {
	if errors.Is(err, client.ErrHashRegistrationRequired) {
		prepared, err := pendingOf(err, p.Kind, request)
		if err != nil {
			return err
		}
		if err := p.take(prepared, cfg); err != nil {
			return err
		}
		return cfg.keep(p)
	}
	if err != nil {
		return err
	}
	return p.createdAs(vm, cfg)
}

// createdAs keeps which CVM was made.
func (p *Pending) createdAs(vm *openapi.VM, cfg *config) error {
	var err error
	if p.Created, err = made(vm, p.AppID); err != nil {
		return err
	}
	p.Committed = true
	cfg.progress(CreatedEvent{CVM: p.Created})
	return cfg.keep(p)
}

func commitReplica(ctx context.Context, c *client.Client, p *Pending, cfg *config) error {
	vm, err := c.CVMs.CommitReplica(ctx, p.CVM, &openapi.CommitUpdateRequest{
		Token: &p.Token, ComposeHash: openapi.Ptr(p.ComposeHash.String()), TransactionHash: &p.Transaction,
	}, nil)
	if err != nil {
		return err
	}
	return p.createdAs(vm, cfg)
}
