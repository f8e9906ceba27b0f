package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// checkSecrets compares secrets, the names that a document allows and the variables of its docker-compose file with
// each other, before anything is sent. What is wrong is a [*SecretsError]; what is only odd is "noticed".
func (c *config) checkSecrets(app *compose.App, env []compose.EnvVar) ([]Comparison, error) {
	if err := kms.CheckEnv(env); err != nil {
		return nil, &InputError{Field: "Env", Err: err}
	}
	for _, v := range env {
		if err := compose.CheckGuestValue(v); err != nil && !slices.Contains(c.mayAlter, v.Key) {
			return nil, &InputError{Field: "Env", Rule: "accept it with AcceptAlteredSecrets", Err: err}
		}
	}
	return c.checkUses(app, envNames(env))
}

// checkUses compares the names of secrets with the variables that the docker-compose file uses.
func (c *config) checkUses(app *compose.App, given []string) ([]Comparison, error) {
	if app.DockerComposeFile == nil {
		return nil, nil
	}
	uses, err := compose.EnvUses(*app.DockerComposeFile)
	if err != nil {
		return nil, &InputError{Field: "docker-compose file", Err: err}
	}
	script := ""
	if app.PreLaunchScript != nil {
		script = *app.PreLaunchScript
	}
	// Hashing a long script takes longer than all the rest, so it waits until somebody asks.
	platformScript := sync.OnceValue(func() bool {
		_, official := compose.LookupPreLaunch(script)
		return script == "" || official
	})
	var missing, builtIn, mentioned []string
	for _, use := range uses {
		mentioned = append(mentioned, use.Name)
		if slices.Contains(given, use.Name) || slices.Contains(c.mayMiss, use.Name) {
			continue
		}
		switch {
		case isBuiltIn(use.Name) && (platformScript() || strings.Contains(script, use.Name)):
		case isBuiltIn(use.Name):
			builtIn = append(builtIn, use.Name)
		case use.Required:
			missing = append(missing, use.Name)
		}
	}
	switch {
	case len(builtIn) > 0:
		return nil, &SecretsError{Names: builtIn, Problem: "the docker-compose file uses variables that the platform's pre-launch script sets, " +
			"and the app-compose has a script of its own instead; set them there, give them as secrets, use the platform's script, or name them in AllowMissing"}
	case len(missing) > 0:
		return nil, &SecretsError{Names: missing, Problem: "the docker-compose file requires variables that are not among the secrets; give them, or name them in AllowMissing"}
	}
	unused := slices.DeleteFunc(slices.Clone(given), func(name string) bool {
		return slices.Contains(mentioned, name) || strings.Contains(script, name) || readByPlatform(name) && platformScript()
	})
	if len(unused) == 0 {
		return nil, nil
	}
	return []Comparison{{
		Name: ComparedSecrets, Outcome: Noticed, Local: strings.Join(unused, ", "),
		Reason: strings.Join(unused, ", ") + " is mentioned neither in the docker-compose file nor in a script of its own",
	}}, nil
}

// isBuiltIn reports whether the platform's pre-launch script sets a variable for the docker-compose file.
func isBuiltIn(name string) bool {
	switch name {
	case "DSTACK_APP_ID", "DSTACK_APP_DOMAIN", "DSTACK_GATEWAY_DOMAIN":
		return true
	}
	return strings.HasPrefix(name, "DSTACK_DOCKER_")
}

// readByPlatform reports whether the platform's pre-launch script reads a secret itself.
func readByPlatform(name string) bool {
	return strings.HasPrefix(name, "DSTACK_")
}

// checkRemoved refuses an update that would lose secrets: the cloud cannot merge ciphertext, so a new set replaces the
// old one.
func checkRemoved(before []string, env []compose.EnvVar, remove []string) error {
	given := envNames(env)
	var lost, unknown, kept []string
	for _, name := range before {
		if !slices.Contains(given, name) && !slices.Contains(remove, name) {
			lost = append(lost, name)
		}
	}
	for _, name := range remove {
		switch {
		case !slices.Contains(before, name):
			unknown = append(unknown, name)
		case slices.Contains(given, name):
			kept = append(kept, name)
		}
	}
	switch {
	case len(lost) > 0:
		return &SecretsError{Names: lost, Problem: "new secrets replace all old ones, and these are not among them; give their values, or name them in RemoveSecrets"}
	case len(unknown) > 0:
		return &SecretsError{Names: unknown, Problem: "RemoveSecrets names what the app does not have"}
	case len(kept) > 0:
		return &SecretsError{Names: kept, Problem: "RemoveSecrets names what Env sets"}
	}
	return nil
}

// Encrypt fetches the app's env key, checks it and encrypts env for it, into the state. Without secrets it only
// advances the state. The names of env must be those of the provision.
//
// It returns a [*MismatchError] if the key is not the one of the provision, or not signed by the pinned KMS root for
// this app id.
func Encrypt(ctx context.Context, c *client.Client, st *State, env []compose.EnvVar, opts ...Option) error {
	cfg, err := configure(inRun, opts)
	if err != nil {
		return err
	}
	return (&flow{c: c, cfg: cfg}).encrypt(ctx, st, env)
}

func (f *flow) encrypt(ctx context.Context, st *State, env []compose.EnvVar) error {
	from := PhaseProvisioned
	if st.onChain() {
		from = PhaseRegistered
	}
	if err := st.checkPhase(from); err != nil {
		return err
	}
	if names := envNames(env); !slices.Equal(names, st.EnvKeys) {
		return fmt.Errorf("deploy %s: %w: the secrets are %v, were %v", st.Name, ErrOtherSpec, names, st.EnvKeys)
	}
	if len(env) == 0 {
		f.report(&st.Comparisons, Comparison{Name: ComparedKMSRoot, Outcome: NotNeeded, Reason: "there are no secrets"})
	} else {
		if err := f.checkRootKnown(st.Name); err != nil {
			return err
		}
		f.app = st.anchor()
		sealed, err := f.seal(ctx, env, keySource{provisioned: st.ProvisionKey, cloudRoot: st.CloudRoot})
		if err != nil {
			return err
		}
		st.EncryptedEnv, st.KMSRoot, st.RootFromCloud = sealed.ciphertext, sealed.root, f.cfg.rootFromCloud
		f.report(&st.Comparisons, sealed.comparisons...)
		f.cfg.progress(EncryptedEvent{Names: st.EnvKeys, Bytes: len(sealed.ciphertext) / 2})
	}
	st.Phase = PhaseEncrypted
	return f.cfg.checkpoint(st)
}

// checkRootKnown refuses to encrypt secrets without a root, before anything is sent.
func (f *flow) checkRootKnown(name string) error {
	cfg := f.cfg
	if len(cfg.roots) > 0 || cfg.rootFromCloud || cfg.skipKeyCheck || cfg.chain != nil || f.app != nil && f.app.KMSRoot != (kms.RootKey{}) {
		return nil
	}
	return fmt.Errorf("%s: %w", name, ErrNoKMSRoot)
}

// keySource is what the cloud named before about the key of the app; empty if it did not.
type keySource struct {
	provisioned string // env key, hexadecimal
	cloudRoot   string // KMS root key, hexadecimal
}

// sealed are secrets, encrypted for a key that was checked.
type sealed struct {
	ciphertext  openapi.Secret
	root        kms.RootKey // that signed the key; zero if nobody checked
	comparisons []Comparison
}

// seal encrypts secrets for the app of the flow, and for no other: the key must be signed for its app id.
func (f *flow) seal(ctx context.Context, env []compose.EnvVar, from keySource) (*sealed, error) {
	s := &sealed{}
	key, err := f.envKey(ctx, from, s)
	if err != nil {
		return nil, fmt.Errorf("env key of app %s: %w", f.app.ID, err)
	}
	sorted := slices.SortedFunc(slices.Values(env), func(a, b compose.EnvVar) int { return compareText(a.Key, b.Key) })
	ciphertext, err := kms.EncryptEnv(sorted, key)
	if err != nil {
		return nil, &InputError{Field: "Env", Err: err}
	}
	s.ciphertext = openapi.Secret(ciphertext)
	return s, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// envKey returns the key to encrypt for, and records the checks that it has passed.
func (f *flow) envKey(ctx context.Context, from keySource, s *sealed) (kms.PublicKey, error) {
	if f.app.KMS == "" {
		return kms.PublicKey{}, &InputError{Field: "App.KMS", Rule: "the KMS is not known; name its slug or id"}
	}
	answer, err := f.c.KMS.GetAppEnvPublicKey(ctx, f.app.KMS, f.app.ID.String())
	if err != nil {
		return kms.PublicKey{}, err
	}
	key, err := kms.ParsePublicKey(answer.PublicKey)
	if err != nil {
		return kms.PublicKey{}, mismatch(ComparedEnvKey, "64 hexadecimal digits", answer.PublicKey)
	}
	if from.provisioned != "" {
		named, err := kms.ParsePublicKey(from.provisioned)
		if err != nil {
			return kms.PublicKey{}, mismatch(ComparedEnvKey, key.String(), from.provisioned)
		}
		comparison, err := compare(ComparedEnvKey, named.String(), key.String())
		if err != nil {
			return kms.PublicKey{}, err
		}
		s.comparisons = append(s.comparisons, comparison)
	}
	if f.cfg.skipKeyCheck {
		s.comparisons = append(s.comparisons, Comparison{Name: ComparedKMSRoot, Outcome: Waived, Reason: "SkipKMSKeyCheck"})
		return key, nil
	}
	return key, f.checkRoot(ctx, key, answer.Signature, from, s)
}

// checkRoot checks that the KMS root signed key for this app.
func (f *flow) checkRoot(ctx context.Context, key kms.PublicKey, signature string, from keySource, s *sealed) error {
	sig, err := kms.ParseSignature(signature)
	if err != nil {
		return mismatch(ComparedKMSRoot, "a signature of 130 hexadecimal digits", signature)
	}
	signer, err := kms.RecoverSigner(f.app.ID, key, sig)
	if err != nil {
		return mismatch(ComparedKMSRoot, "a signature of a root key", signature)
	}
	roots, reason, err := f.trustedRoots(ctx, from)
	if err != nil {
		return err
	}
	if err := kms.CheckSigner(signer, roots...); err != nil {
		return &MismatchError{What: ComparedKMSRoot, Local: roots[0].String(), Remote: signer.String()}
	}
	s.root = signer
	s.comparisons = append(s.comparisons, Comparison{Name: ComparedKMSRoot, Outcome: Confirmed, Local: signer.String(), Remote: signer.String(), Reason: reason})
	return nil
}

// trustedRoots are the keys that may have signed the app's key: those that the caller pins, the one in the contract
// of the KMS, the one that the anchor has, and only by name the one that the cloud shows.
func (f *flow) trustedRoots(ctx context.Context, from keySource) ([]kms.RootKey, string, error) {
	switch {
	case f.cfg.rootFromCloud:
		root, err := f.cloudRoot(ctx, from.cloudRoot)
		return []kms.RootKey{root}, "the cloud named the root (TrustKMSRootFromCloud)", err
	case len(f.cfg.roots) > 0:
		return f.cfg.roots, "", nil
	case f.cfg.chain != nil:
		root, err := f.cfg.chain.RootKey(ctx)
		if err != nil {
			return nil, "", onChainError("root key in the contract of the KMS", err)
		}
		return []kms.RootKey{root}, fmt.Sprintf("the root is the one in the KMS's contract on chain %d", f.cfg.chain.ChainID()), nil
	}
	reason := "the root is the one that was checked before"
	if f.app.RootFromCloud {
		reason = "the root is the one that the cloud named when the app was deployed"
	}
	return []kms.RootKey{f.app.KMSRoot}, reason, nil
}

// cloudRoot returns the root key of the KMS that the cloud reports.
func (f *flow) cloudRoot(ctx context.Context, text string) (kms.RootKey, error) {
	if text == "" {
		info, err := f.c.KMS.Inspect(ctx, f.app.KMS)
		if err != nil {
			return kms.RootKey{}, fmt.Errorf("root key of KMS %s: %w", f.app.KMS, err)
		}
		if info.RPC == nil {
			return kms.RootKey{}, mismatch(ComparedKMSRoot, "the root key of KMS "+f.app.KMS, "the cloud does not show it: "+info.RPCError)
		}
		text = info.RPC.BootstrapInfo.K256PublicKey
	}
	root, err := kms.ParseRootKey(text)
	if err != nil {
		return kms.RootKey{}, mismatch(ComparedKMSRoot, "the root key of KMS "+f.app.KMS, text)
	}
	return root, nil
}
