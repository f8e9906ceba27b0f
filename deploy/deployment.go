package deploy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Run deploys spec with the central KMS, or with the KMS on the chain of [WithChain]. It returns after the CVM runs, no
// operation runs on it, and its evidence was verified. Keep the returned [App]: every later flow needs it.
//
// The evidence is available if the app publishes its attestation (public_tcbinfo). It is verified that genuine hardware
// runs this compose hash under this app id. A failed check is a [*VerificationError] with the whole report. With
// [WithVerification] a missing check is an error, too; without it App.Last has the missing checks.
//
// Secrets need a trusted KMS root, because the key that they are encrypted for must be signed by it: [WithKMSRoot],
// [WithChain], or an option without that protection ([TrustKMSRootFromCloud], [SkipKMSKeyCheck]). They also need an app
// id that the cloud did not choose: Spec.AppID and Nonce, [WithTeamWallet], [WithChain], or [TrustAppIDFromCloud].
// Without them Run returns [ErrNoKMSRoot] or [ErrNoAppID] before anything is sent.
//
// A value of the cloud that differs from the local one is a [*MismatchError]. A CVM that does not boot is a
// [*BootError]. Secrets that do not fit the docker-compose file are a [*SecretsError].
//
// The same spec may be run again. If an earlier run has created the CVM (same name, same compose hash, an app id that
// is accepted as that of a new CVM), Run creates no second one. It replaces the secrets of the CVM by those of spec,
// which restarts the CVM.
func Run(ctx context.Context, c *client.Client, spec Spec, opts ...Option) (*App, error) {
	return Resume(ctx, c, spec, nil, opts...)
}

// Resume continues a deployment from st, as [WithCheckpoint] saved it; nil starts from the beginning. The spec must
// be the one of the state, otherwise Resume returns [ErrOtherSpec]. The values of the secrets are needed only while
// st is in phase "provisioned" or "registered".
func Resume(ctx context.Context, c *client.Client, spec Spec, st *State, opts ...Option) (*App, error) {
	f, err := newFlow(inRun, c, opts)
	if err != nil {
		return nil, err
	}
	if st == nil {
		if st, err = f.provision(ctx, spec); err != nil {
			return nil, err
		}
	} else if err := spec.belongsTo(st); err != nil {
		return nil, err
	}
	if st.Phase == PhaseProvisioned && st.onChain() {
		if err := f.register(ctx, st); err != nil {
			return nil, err
		}
	}
	if st.Phase == PhaseProvisioned || st.Phase == PhaseRegistered {
		if err := f.encrypt(ctx, st, spec.Env); err != nil {
			return nil, err
		}
	}
	if st.Phase == PhaseEncrypted {
		if err := f.create(ctx, st); err != nil {
			return nil, err
		}
	}
	return f.boot(ctx, st)
}

// belongsTo returns an error unless st began with this spec.
func (s Spec) belongsTo(st *State) error {
	if s.Compose == nil {
		return &InputError{Field: "Spec", Rule: "Compose is required"}
	}
	doc, err := withSecrets(s.Compose, s.Env)
	if err != nil {
		return err
	}
	return st.checkSpec(s.fingerprint(doc))
}

// Provision sends the app-compose of spec to the cloud and compares the compose hash and the app id in the response.
// Nothing runs yet and no secret is sent. The cloud keeps a provision for 14 days.
//
// It returns a [*MismatchError] if the cloud's compose hash is not the one computed locally, or its app id not the
// requested one. If the hash cannot be predicted (the app-compose has no pre-launch script of its own, so the
// platform adds one), the comparison is recorded as undecided; the booted document is compared afterwards.
func Provision(ctx context.Context, c *client.Client, spec Spec, opts ...Option) (*State, error) {
	f, err := newFlow(inRun, c, opts)
	if err != nil {
		return nil, err
	}
	return f.provision(ctx, spec)
}

func (f *flow) provision(ctx context.Context, spec Spec) (*State, error) {
	st, request, err := f.plan(ctx, spec)
	if err != nil {
		return nil, err
	}
	answer, err := f.sendProvision(ctx, request, st.Document)
	if nameTaken(err) {
		return f.adopt(ctx, st, spec, err)
	}
	if err != nil {
		return nil, fmt.Errorf("provision %s: %w", spec.Name, err)
	}
	st.ProvisionKey, st.Token = answer.AppEnvEncryptPublicKey, answer.Token
	if k := answer.KMSInfo; k != nil {
		st.KMS, st.CloudRoot = slugOrID(k.Slug, k.ID), k.K256PublicKey
	}
	if err := f.acceptHash(st, answer.ComposeHash); err != nil {
		return nil, err
	}
	if f.cfg.chain != nil {
		if err := f.acceptChain(st, answer); err != nil {
			return nil, err
		}
	}
	if err := f.acceptAppID(st, spec, answer.AppID); err != nil {
		return nil, err
	}
	if err := f.acceptImage(ctx, st, answer.OSImageHash); err != nil {
		return nil, err
	}
	provisioned := ProvisionedEvent{ComposeHash: st.ComposeHash.String()}
	if !st.AppID.IsZero() {
		provisioned.AppID = st.AppID.String()
	}
	f.cfg.progress(provisioned)
	return st, f.cfg.checkpoint(st)
}

// sendProvision sends the document byte for byte as it was hashed. It is not decoded and encoded again.
func (f *flow) sendProvision(ctx context.Context, request *openapi.ProvisionRequest, document string) (*openapi.Provision, error) {
	rest, err := openapi.Marshal(struct {
		*openapi.ProvisionRequest
		ComposeFile *struct{} `json:"compose_file,omitempty"` // hides that of the request
	}{ProvisionRequest: request})
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(document)+len(rest)+20)
	body = append(body, `{"compose_file":`...)
	body = append(append(append(body, document...), ','), rest[1:]...) // the rest has a name at least
	response, err := f.c.API.CVMsProvisionWithBody(ctx, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer openapi.Provision
	data, err := io.ReadAll(response.Body) // bounded by the client
	if err != nil {
		return nil, err
	}
	received := client.Answer{Operation: "CVMs.Provision", StatusCode: response.StatusCode, Body: data}
	return &answer, received.Decode(&answer)
}

// plan checks the spec and returns the request. It sends nothing.
func (f *flow) plan(ctx context.Context, spec Spec) (*State, *openapi.ProvisionRequest, error) {
	onChain := f.cfg.chain != nil
	if err := spec.check(onChain); err != nil {
		return nil, nil, err
	}
	doc, err := withSecrets(spec.Compose, spec.Env)
	if err != nil {
		return nil, nil, err
	}
	noticed, err := f.cfg.checkSecrets(doc.app, spec.Env)
	if err != nil {
		return nil, nil, fmt.Errorf("deploy %s: %w", spec.Name, err)
	}
	found, err := f.cfg.inspect(ctx, doc)
	if err != nil {
		return nil, nil, fmt.Errorf("deploy %s: %w", spec.Name, err)
	}
	if len(spec.Env) > 0 {
		if err := f.checkRootKnown(spec.Name); err != nil {
			return nil, nil, err
		}
		if !onChain && spec.AppID == nil && f.cfg.teamWallet == nil && !f.cfg.idFromCloud {
			return nil, nil, fmt.Errorf("deploy %s: %w", spec.Name, ErrNoAppID)
		}
	}
	if onChain && !doc.predictable && !f.cfg.hashFromCloud {
		return nil, nil, fmt.Errorf("deploy %s: %w: give the app-compose a pre-launch script of its own", spec.Name, ErrUnpredictable)
	}
	if f.cfg.teamWallet != nil && spec.Nonce != nil {
		if _, err := compare(ComparedAppID, kms.DeriveAppID(*f.cfg.teamWallet, *spec.Nonce).String(), spec.AppID.String()); err != nil {
			return nil, nil, err
		}
	}
	request, err := spec.request(doc, f.cfg.chain)
	if err != nil {
		return nil, nil, err
	}
	st := &State{
		Phase: PhaseProvisioned, Name: spec.Name, Spec: spec.fingerprint(doc),
		Document: string(doc.text), ComposeHash: doc.hash, Predicted: doc.predictable,
		EnvKeys: envNames(spec.Env), OS: Image{Name: spec.Image, Development: spec.OS == Development}, Contract: spec.Contract,
	}
	f.report(&st.Comparisons, append(noticed, found...)...)
	return st, request, nil
}

// acceptHash compares the cloud's compose hash with the local one. It keeps the cloud's if there is no local one.
func (f *flow) acceptHash(st *State, answered string) error {
	remote, err := compose.ParseHash(answered)
	if err != nil {
		return mismatch(ComparedComposeHash, st.ComposeHash.String(), answered)
	}
	if !st.Predicted {
		st.ComposeHash = remote
		f.report(&st.Comparisons, Comparison{
			Name: ComparedComposeHash, Outcome: Undecided, Remote: remote.String(),
			Reason: "without a pre-launch script of its own the platform completes the app-compose; the booted document is compared later",
		})
		return nil
	}
	comparison, err := compare(ComparedComposeHash, st.ComposeHash.String(), remote.String())
	if err != nil {
		return err
	}
	f.report(&st.Comparisons, comparison)
	return nil
}

// acceptChain compares the KMS that the cloud chose with the one of the chain, and keeps the machine that the contract
// must allow, if the caller accepts it.
func (f *flow) acceptChain(st *State, answer *openapi.Provision) error {
	id, contract := chainOf(answer.KMSInfo)
	if err := compareChain(f.cfg.chain, id, contract); err != nil {
		return err
	}
	st.ChainID, st.KMSContract = id, contract
	if st.Contract.AllowAnyDevice {
		return nil
	}
	device, err := parseDevice(answer.DeviceID)
	if err != nil {
		return err
	}
	comparison, err := f.cfg.acceptDevice(device, st.Contract.Devices)
	if err != nil {
		return fmt.Errorf("provision %s: %w", st.Name, err)
	}
	st.Device = device
	f.report(&st.Comparisons, comparison)
	return nil
}

// acceptAppID keeps the cloud's app id if it is an expected one.
func (f *flow) acceptAppID(st *State, spec Spec, answered string) error {
	if answered == "" && st.onChain() {
		if spec.AppID != nil {
			st.AppID = *spec.AppID
		}
		return nil // the id is the address of a contract that is not deployed yet
	}
	if answered == "" {
		return &MismatchError{What: ComparedAppID, Local: "an app id", Hint: "a KMS on a chain needs WithChain"}
	}
	remote, err := kms.ParseAppID(answered)
	if err != nil {
		return mismatch(ComparedAppID, "40 hexadecimal digits", answered)
	}
	comparison, err := f.compareNewAppID(st, spec, remote)
	if err != nil {
		return err
	}
	st.AppID = remote
	f.report(&st.Comparisons, comparison)
	return nil
}

// maxNonce bounds the search for an app id among the addresses that a wallet creates.
const maxNonce = 10_000

// compareNewAppID compares the cloud's app id with the requested one, or with those of the team's wallet.
func (f *flow) compareNewAppID(st *State, spec Spec, remote kms.AppID) (Comparison, error) {
	wallet := f.cfg.teamWallet
	switch {
	case spec.AppID != nil:
		comparison, err := compare(ComparedAppID, spec.AppID.String(), remote.String())
		if err == nil && wallet == nil {
			comparison.Reason = "as requested"
		}
		return comparison, err
	case st.onChain():
		return Comparison{}, &MismatchError{What: ComparedAppID, Local: "no app id before the contract is deployed", Remote: remote.String()}
	case wallet != nil:
		for nonce := range uint64(maxNonce) {
			if kms.DeriveAppID(*wallet, nonce) == remote {
				return Comparison{
					Name: ComparedAppID, Outcome: Confirmed, Local: remote.String(), Remote: remote.String(),
					Reason: fmt.Sprintf("nonce %d of the team wallet %s", nonce, wallet.Hex()),
				}, nil
			}
		}
		return Comparison{}, &MismatchError{What: ComparedAppID, Local: fmt.Sprintf("an address that %s creates", wallet.Hex()), Remote: remote.String()}
	case f.cfg.idFromCloud:
		return Comparison{Name: ComparedAppID, Outcome: Waived, Remote: remote.String(), Reason: "TrustAppIDFromCloud"}, nil
	}
	return Comparison{
		Name: ComparedAppID, Outcome: Undecided, Remote: remote.String(),
		Reason: "the cloud chose the app id; no secret depends on it",
	}, nil
}

// acceptImage compares the image that the cloud chose with the requested one, if the cloud's list of images has it. The
// evidence is verified after the boot.
func (f *flow) acceptImage(ctx context.Context, st *State, hash string) error {
	st.OS.Hash = cloudtext.Clean(hash)
	if hash == "" {
		return nil
	}
	for image, err := range f.c.OSImages.All(ctx, nil) {
		if err != nil {
			f.report(&st.Comparisons, Comparison{Name: ComparedOS, Outcome: Undecided, Remote: hash, Reason: "the list of images cannot be read; the image is compared after the boot"})
			return nil
		}
		if image.OSImageHash != hash {
			continue
		}
		if err := st.OS.compare(image.Name, &image.IsDev); err != nil {
			return fmt.Errorf("provision %s: %w", st.Name, err)
		}
		st.OS.Name, st.OS.Version = cloudtext.Clean(image.Name), cloudtext.Clean(image.Version)
		f.report(&st.Comparisons, Comparison{Name: ComparedOS, Outcome: Consistent, Local: st.OS.kind(), Remote: image.Name, Reason: "as the cloud lists it"})
		return nil
	}
	return nil
}

// compare compares an image of the cloud with the requested one.
func (i Image) compare(name string, isDev *bool) error {
	if isDev != nil && *isDev != i.Development {
		return mismatch(ComparedOS, i.kind(), Image{Name: name, Development: *isDev}.kind())
	}
	if i.Name != "" && name != "" && i.Name != name {
		return mismatch(ComparedOS, i.Name, name)
	}
	return nil
}

func (i Image) kind() string {
	kind := "a production image"
	if i.Development {
		kind = "a development image"
	}
	if i.Name != "" {
		kind += " (" + i.Name + ")"
	}
	return kind
}

// nameTaken reports whether the workspace has a CVM of that name already.
func nameTaken(err error) bool {
	var api *client.APIError
	return errors.As(err, &api) && api.Code == client.CodeDuplicateCVMName
}

// adopt continues with the CVM that has the name of spec, if it runs the same app-compose and its app id is an expected
// one: an earlier run created it, and the response was lost. Otherwise the error is taken.
func (f *flow) adopt(ctx context.Context, st *State, spec Spec, taken error) (*State, error) {
	taken = fmt.Errorf("provision %s: %w", spec.Name, taken)
	refuse := func(why error) (*State, error) { return nil, errors.Join(taken, why) }
	if !st.Predicted {
		return refuse(errors.New("the CVM of that name is not taken over: the compose hash cannot be predicted, so it is unknown whether it runs this app-compose"))
	}
	cvm, err := f.c.CVMs.Get(ctx, spec.Name)
	if err != nil {
		return refuse(err)
	}
	if err := f.acceptHash(st, cvm.ComposeHash); err != nil {
		return refuse(fmt.Errorf("the CVM of that name runs something else: %w", err))
	}
	if k := cvm.KMSInfo; k != nil {
		st.KMS, st.CloudRoot, st.ProvisionKey = slugOrID(k.Slug, k.ID), k.K256PublicKey, k.EncryptedEnvPublicKey
	}
	id, err := kms.ParseAppID(cvm.AppID)
	if err != nil {
		return refuse(mismatch(ComparedAppID, "that of the CVM of that name", cvm.AppID))
	}
	if f.cfg.chain != nil {
		if err := f.adoptContract(ctx, st, spec, id); err != nil {
			return refuse(err)
		}
	} else if err := f.acceptAppID(st, spec, cvm.AppID); err != nil {
		return refuse(err)
	}
	st.Adopted, st.CVM = true, handle(cvm)
	f.cfg.progress(CreatedEvent{CVM: st.CVM, Adopted: true})
	return st, f.cfg.checkpoint(st)
}

// adoptContract accepts the app of a CVM that was found by its name, if its contract allows this hash and belongs to
// the owner in the spec, or to the account of the chain.
func (f *flow) adoptContract(ctx context.Context, st *State, spec Spec, id kms.AppID) error {
	chain := f.cfg.chain
	if spec.AppID != nil {
		if _, err := compare(ComparedAppID, spec.AppID.String(), id.String()); err != nil {
			return err
		}
	}
	a, err := chain.Allowance(ctx, id, st.ComposeHash, kms.DeviceID{})
	if err != nil {
		return onChainError("contract of app "+id.String(), err)
	}
	owner := spec.Contract.Owner
	if owner == (common.Address{}) {
		owner = chain.Sender()
	}
	if a.Owner != owner {
		return &MismatchError{What: ComparedContract, Local: owner.Hex(), Remote: a.Owner.Hex()}
	}
	if !a.ComposeHash {
		return fmt.Errorf("compose hash %s: %w", st.ComposeHash, ErrNotAllowed)
	}
	st.AppID, st.ChainID, st.KMSContract = id, chain.ChainID(), chain.KMS()
	f.report(&st.Comparisons, Comparison{Name: ComparedAppID, Outcome: Confirmed, Local: id.String(), Reason: "its contract belongs to " + owner.Hex() + " and allows this compose hash"})
	return nil
}

func slugOrID(slug string, id openapi.ID) string { return cloudtext.Clean(cmp.Or(slug, string(id))) }

// Register makes the chain allow the provisioned hash: it deploys the contract of a new app, or changes that of
// Spec.AppID. Then it reads the contract and compares it with Spec.Contract. It needs [WithChain].
func Register(ctx context.Context, st *State, opts ...Option) error {
	f, err := newFlow(inRun, nil, opts)
	if err != nil {
		return err
	}
	return f.register(ctx, st)
}

func (f *flow) register(ctx context.Context, st *State) error {
	if err := st.checkPhase(PhaseProvisioned); err != nil {
		return err
	}
	chain := f.cfg.chain
	if chain == nil {
		return &InputError{Field: "deploy " + st.Name, Rule: fmt.Sprintf("its KMS is on chain %d, which needs WithChain", st.ChainID)}
	}
	if err := compareChain(chain, st.ChainID, st.KMSContract); err != nil {
		return err
	}
	log := journals{all: &st.Transactions, save: func() error { return f.cfg.checkpoint(st) }}
	transaction := ""
	if st.AppID.IsZero() {
		contract := kms.AppContract{
			Owner: st.Contract.Owner, ComposeHash: st.ComposeHash, Device: st.Device,
			AllowAnyDevice: st.Contract.AllowAnyDevice, RequireTCBUpToDate: st.Contract.RequireTCBUpToDate,
		}
		app, tx, err := chain.DeployApp(ctx, contract, log.of("deploy"))
		if err != nil {
			return onChainError("contract of "+st.Name, err)
		}
		st.AppID, st.Deployer, transaction = app, chain.Sender(), tx.Hex()
		f.report(&st.Comparisons, Comparison{
			Name: ComparedAppID, Outcome: Confirmed, Local: app.String(),
			Reason: "the address of the contract that the KMS deployed for this account",
		})
		// Without the id the deployed contract would be lost.
		if err := f.cfg.checkpoint(st); err != nil {
			return err
		}
	}
	before, err := chain.Allowance(ctx, st.AppID, st.ComposeHash, st.Device)
	if err != nil {
		return onChainError("contract of app "+st.AppID.String(), err)
	}
	comparison, err := st.Contract.compare(st.AppID, before)
	if err != nil {
		return err
	}
	allowed, err := allow(ctx, chain, &Approval{App: st.AppID, ComposeHash: st.ComposeHash, Device: st.Device}, log)
	if err != nil {
		return err
	}
	if transaction == "" {
		transaction = allowed
	}
	after, err := chain.Allowance(ctx, st.AppID, st.ComposeHash, st.Device)
	switch {
	case err != nil:
		return onChainError("contract of app "+st.AppID.String(), err)
	case !after.ComposeHash:
		return fmt.Errorf("contract of app %s: compose hash %s was added, but: %w", st.AppID, st.ComposeHash, ErrNotAllowed)
	case !st.Device.IsZero() && !after.Device && !after.AnyDevice:
		return fmt.Errorf("contract of app %s: device %s was added, but: %w", st.AppID, st.Device, ErrNotAllowed)
	}
	if st.KMSRoot, err = chain.RootKey(ctx); err != nil {
		return onChainError("root key in the contract of the KMS", err)
	}
	st.Owner, st.Phase = after.Owner, PhaseRegistered
	f.report(&st.Comparisons, comparison)
	f.cfg.progress(RegisteredEvent{AppID: st.AppID.String(), ChainID: chain.ChainID(), Transaction: transaction})
	return f.cfg.checkpoint(st)
}

// Create creates the CVM. It may be repeated: the cloud returns the same CVM for the same app id and compose hash.
func Create(ctx context.Context, c *client.Client, st *State, opts ...Option) error {
	f, err := newFlow(inRun, c, opts)
	if err != nil {
		return err
	}
	return f.create(ctx, st)
}

func (f *flow) create(ctx context.Context, st *State) error {
	if err := st.checkPhase(PhaseEncrypted); err != nil {
		return err
	}
	if st.Adopted {
		return f.createAdopted(ctx, st)
	}
	body := openapi.CreateCVMRequest{
		AppID:        st.AppID.String(),
		ComposeHash:  st.ComposeHash.String(),
		EnvKeys:      st.EnvKeys,
		EncryptedEnv: unlessZero(st.EncryptedEnv),
		Token:        unlessZero(st.Token),
	}
	if st.onChain() {
		body.KMSID = unlessZero(st.KMS)
		body.ContractAddress = openapi.Ptr(st.AppID.Address().Hex())
		if st.Deployer != (common.Address{}) {
			body.DeployerAddress = openapi.Ptr(st.Deployer.Hex())
		}
	}
	var vm *openapi.VM
	err := untilMined(ctx, func() (err error) {
		vm, err = f.c.CVMs.Create(ctx, body)
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", st.Name, explain(err))
	}
	if st.CVM, err = createdID(vm, st.AppID); err != nil {
		return fmt.Errorf("create %s: %w", st.Name, err)
	}
	st.Phase = PhaseCreated
	f.cfg.progress(CreatedEvent{CVM: st.CVM})
	return f.cfg.checkpoint(st)
}

// createdID returns the identifier of a new CVM, and compares its app id.
func createdID(vm *openapi.VM, app kms.AppID) (string, error) {
	if vm.AppID != "" {
		if err := checkAppID(app, vm.AppID); err != nil {
			return "", err
		}
	}
	id := cmp.Or(vm.VMUUID, string(vm.ID))
	if id == "" {
		return "", mismatch(ComparedCVM, "a vm_uuid", "")
	}
	return cloudtext.Clean(id), nil
}

// createAdopted replaces the secrets of a CVM that an earlier run created. It sends no env_keys: a list shorter than
// allowed_envs would change the document.
func (f *flow) createAdopted(ctx context.Context, st *State) error {
	if st.EncryptedEnv != "" {
		_, err := f.c.CVMs.Update(ctx, st.CVM, openapi.UpdateCVMRequest{EncryptedEnv: &st.EncryptedEnv}, nil, client.WithConflictWait(conflictWait))
		if err != nil {
			return fmt.Errorf("secrets of cvm %s: %w", st.CVM, err)
		}
	}
	st.Phase = PhaseCreated
	return f.cfg.checkpoint(st)
}

// Wait waits until the CVM runs and no operation runs on it, verifies it as [Run] does, and returns the app. If the CVM
// fails, the error is a [*BootError]. If the context ends, the CVM continues to boot.
func Wait(ctx context.Context, c *client.Client, st *State, opts ...Option) (*App, error) {
	f, err := newFlow(inRun, c, opts)
	if err != nil {
		return nil, err
	}
	return f.boot(ctx, st)
}

func (f *flow) boot(ctx context.Context, st *State) (*App, error) {
	if err := st.checkPhase(PhaseCreated, PhaseRunning); err != nil {
		return nil, err
	}
	f.app = st.anchor()
	doc, err := parseDocument(st.Document)
	if err != nil {
		return nil, err
	}
	want := CVM{ID: st.CVM, Name: st.Name, ComposeHash: st.ComposeHash}
	if err := f.waitFor(ctx, want, openapi.CVMRunning); err != nil {
		return nil, err
	}
	cvm, err := f.get(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("cvm %s runs, but: %w", st.CVM, err)
	}
	comparisons := slices.Clone(st.Comparisons)
	if err := f.compareOS(cvm, &comparisons); err != nil {
		return nil, err
	}
	st.Phase = PhaseRunning
	f.cfg.progress(RunningEvent{CVM: cvm})
	if err := f.cfg.checkpoint(st); err != nil {
		return nil, err
	}
	proof, err := f.prove(ctx, subject{cvm: cvm, doc: doc, hash: st.ComposeHash, predicted: st.Predicted, changed: st.Adopted})
	if err != nil {
		return nil, err
	}
	app := f.app
	if proof.document == "" {
		app.Unproven = proof.unproven
		app.CVMs[0].ComposeHash = compose.Hash{}
	} else {
		app.Document, app.ComposeHash = proof.document, compose.Sum([]byte(proof.document))
		app.CVMs[0].ComposeHash = app.ComposeHash
	}
	app.CVMs[0].InstanceID = proof.instance()
	app.keepMeasured(proof)
	app.Last = proof.result(cvm, comparisons)
	return app, nil
}

// compareOS compares the image of a CVM with the requested one, and keeps the cloud's description of it.
func (f *flow) compareOS(cvm *openapi.CVMDetail, comparisons *[]Comparison) error {
	if cvm.OS == nil || cvm.OS.IsDev == nil {
		f.report(comparisons, Comparison{Name: ComparedOS, Outcome: Undecided, Local: f.app.OS.kind(), Reason: "the cloud does not report the image"})
		return nil
	}
	if err := f.app.OS.compare(cvm.OS.Name, cvm.OS.IsDev); err != nil {
		return fmt.Errorf("cvm %s: %w", handle(cvm), err)
	}
	f.app.OS.Name, f.app.OS.Version = cloudtext.Clean(cvm.OS.Name), cloudtext.Clean(cvm.OS.Version)
	f.app.OS.Hash, f.app.OS.Measured = cloudtext.Clean(cvm.OS.OSImageHash), false
	f.report(comparisons, Comparison{Name: ComparedOS, Outcome: Consistent, Local: f.app.OS.kind(), Remote: cvm.OS.Name, Reason: "as the cloud reports it"})
	return nil
}
