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

// checkSecrets compares the secrets with the names that a document allows and with the variables of its docker-compose
// file, before anything is sent.
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
	// Lazily, because hashing a long script takes longer than everything else here.
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

// checkRemoved returns an error if an update would lose secrets: new secrets replace all old ones, because the cloud
// cannot merge ciphertext.
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
		return &SecretsError{Names: unknown, Problem: "RemoveSecrets has secrets that the app does not have"}
	case len(kept) > 0:
		return &SecretsError{Names: kept, Problem: "RemoveSecrets has secrets that Env sets"}
	}
	return nil
}

// Encrypt reads the app's env key, checks it, and writes the ciphertext of env into the state. Without secrets it only
// advances the state. The names of env must be those of the provision.
//
// It returns a [*MismatchError] if the key is not the one of the provision, or if no trusted KMS root signed it for this
// app id.
func Encrypt(ctx context.Context, c *client.Client, st *State, env []compose.EnvVar, opts ...Option) error {
	f, err := newFlow(inRun, c, opts)
	if err != nil {
		return err
	}
	return f.encrypt(ctx, st, env)
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
		sealed, err := f.seal(ctx, env, provisionKeys{env: st.ProvisionKey, root: st.CloudRoot})
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

// checkRootKnown returns [ErrNoKMSRoot] if no root is trusted, before anything is sent.
func (f *flow) checkRootKnown(name string) error {
	cfg := f.cfg
	if len(cfg.roots) > 0 || cfg.rootFromCloud || cfg.skipKeyCheck || cfg.chain != nil || f.app != nil && f.app.KMSRoot != (kms.RootKey{}) {
		return nil
	}
	return fmt.Errorf("%s: %w", name, ErrNoKMSRoot)
}

// provisionKeys are the keys in a provision, in hexadecimal; empty without one.
type provisionKeys struct{ env, root string }

// sealed are encrypted secrets.
type sealed struct {
	ciphertext  openapi.Secret
	root        kms.RootKey // that signed the env key; zero if it was not checked
	comparisons []Comparison
}

// seal encrypts secrets for the app of the flow: the env key must be signed for its app id.
func (f *flow) seal(ctx context.Context, env []compose.EnvVar, provision provisionKeys) (*sealed, error) {
	s := &sealed{}
	key, err := f.envKey(ctx, provision, s)
	if err != nil {
		return nil, fmt.Errorf("env key of app %s: %w", f.app.ID, err)
	}
	sorted := slices.SortedFunc(slices.Values(env), func(a, b compose.EnvVar) int { return strings.Compare(a.Key, b.Key) })
	ciphertext, err := kms.EncryptEnv(sorted, key)
	if err != nil {
		return nil, &InputError{Field: "Env", Err: err}
	}
	s.ciphertext = openapi.Secret(ciphertext)
	return s, nil
}

// envKey returns the key to encrypt for, and records its comparisons in s.
func (f *flow) envKey(ctx context.Context, provision provisionKeys, s *sealed) (kms.PublicKey, error) {
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
	if provision.env != "" {
		provisioned, err := kms.ParsePublicKey(provision.env)
		if err != nil {
			return kms.PublicKey{}, mismatch(ComparedEnvKey, key.String(), provision.env)
		}
		comparison, err := compare(ComparedEnvKey, provisioned.String(), key.String())
		if err != nil {
			return kms.PublicKey{}, err
		}
		comparison.Outcome = Consistent
		s.comparisons = append(s.comparisons, comparison)
	}
	if f.cfg.skipKeyCheck {
		s.comparisons = append(s.comparisons, Comparison{Name: ComparedKMSRoot, Outcome: Waived, Reason: "SkipKMSKeyCheck"})
		return key, nil
	}
	return key, f.checkRoot(ctx, key, answer.Signature, provision, s)
}

// checkRoot checks that the KMS root signed key for this app.
func (f *flow) checkRoot(ctx context.Context, key kms.PublicKey, signature string, provision provisionKeys, s *sealed) error {
	sig, err := kms.ParseSignature(signature)
	if err != nil {
		return mismatch(ComparedKMSRoot, "a signature of 130 hexadecimal digits", signature)
	}
	signer, err := kms.RecoverSigner(f.app.ID, key, sig)
	if err != nil {
		return mismatch(ComparedKMSRoot, "a signature of a root key", signature)
	}
	roots, reason, err := f.trustedRoots(ctx, provision.root)
	if err != nil {
		return err
	}
	if err := kms.CheckSigner(signer, roots...); err != nil {
		return &MismatchError{What: ComparedKMSRoot, Local: roots[0].String(), Remote: signer.String()}
	}
	s.root = signer
	comparison := Comparison{Name: ComparedKMSRoot, Outcome: Confirmed, Local: signer.String(), Remote: signer.String(), Reason: reason}
	if f.cfg.rootFromCloud {
		comparison.Outcome, comparison.Local = Waived, ""
	}
	s.comparisons = append(s.comparisons, comparison)
	return nil
}

// trustedRoots returns the keys that may have signed the app's key, with their source: those of [WithKMSRoot], the one
// in the contract of the KMS, or the one of the anchor; with [TrustKMSRootFromCloud] the one that the cloud reports.
func (f *flow) trustedRoots(ctx context.Context, provisioned string) ([]kms.RootKey, string, error) {
	switch {
	case f.cfg.rootFromCloud:
		root, err := f.cloudRoot(ctx, provisioned)
		return []kms.RootKey{root}, "TrustKMSRootFromCloud", err
	case len(f.cfg.roots) > 0:
		return f.cfg.roots, "", nil
	case f.cfg.chain != nil:
		root, err := f.cfg.chain.RootKey(ctx)
		if err != nil {
			return nil, "", onChainError("root key in the contract of the KMS", err)
		}
		return []kms.RootKey{root}, fmt.Sprintf("the root is the one in the KMS's contract on chain %d", f.cfg.chain.ChainID()), nil
	}
	reason := "the root is that of the anchor"
	if f.app.RootFromCloud {
		reason = "the root is that of the anchor, which the cloud reported when the app was deployed"
	}
	return []kms.RootKey{f.app.KMSRoot}, reason, nil
}

// cloudRoot returns the root key of the KMS that the cloud reports: the one in a provision, or if that is empty the
// one of KMS.Inspect.
func (f *flow) cloudRoot(ctx context.Context, provisioned string) (kms.RootKey, error) {
	text := provisioned
	if text == "" {
		info, err := f.c.KMS.Inspect(ctx, f.app.KMS)
		if err != nil {
			return kms.RootKey{}, fmt.Errorf("root key of KMS %s: %w", f.app.KMS, err)
		}
		if info.RPC == nil {
			return kms.RootKey{}, mismatch(ComparedKMSRoot, "the root key of KMS "+f.app.KMS, "the cloud does not report it: "+info.RPCError)
		}
		text = info.RPC.BootstrapInfo.K256PublicKey
	}
	root, err := kms.ParseRootKey(text)
	if err != nil {
		return kms.RootKey{}, mismatch(ComparedKMSRoot, "the root key of KMS "+f.app.KMS, text)
	}
	return root, nil
}
