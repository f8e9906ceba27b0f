package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// ErrNoKMSRoot says that secrets were given but no way to check the key they are encrypted for.
var ErrNoKMSRoot = errors.New("secrets need a checked key: pin the KMS root with WithKMSRoot, or give the check up with TrustKMSRootFromCloud or SkipKMSKeyCheck")

// canCheckKey refuses to encrypt secrets without a root, before anything is sent.
func (c *config) canCheckKey(name string) error {
	if len(c.roots) == 0 && !c.rootFromCloud && !c.skipKeyCheck && c.chain == nil {
		return fmt.Errorf("deploy %s: %w", name, ErrNoKMSRoot)
	}
	return nil
}

// Encrypt fetches the app's env key, checks it and encrypts env for it, into the state. Without secrets it
// only moves the state on. The names of env must be those that the provision announced.
//
// It returns a [*MismatchError] where the key is not the one named while provisioning, or not signed by the
// pinned KMS root.
func Encrypt(ctx context.Context, c *client.Client, st *State, env []compose.EnvVar, opts ...Option) error {
	cfg, err := configure(opts)
	if err != nil {
		return err
	}
	return encrypt(ctx, c, st, Spec{Name: st.Name, Env: env}, cfg)
}

func encrypt(ctx context.Context, c *client.Client, st *State, spec Spec, cfg *config) error {
	if st.onChain() {
		if err := st.in(PhaseRegistered); err != nil {
			return err
		}
	} else if err := st.in(PhaseProvisioned); err != nil {
		return err
	}
	if err := st.sameNames(envNames(spec.Env)); err != nil {
		return err
	}
	if len(spec.Env) > 0 {
		if err := cfg.canCheckKey(spec.Name); err != nil {
			return err
		}
	}
	made := len(st.Checks)
	if len(spec.Env) == 0 {
		st.Checks = append(st.Checks, Check{Name: CheckKMSRoot, Outcome: NotNeeded, Reason: "there are no secrets"})
	} else {
		key, checks, err := envKey(ctx, c, st, cfg)
		if err != nil {
			return err
		}
		ciphertext, err := kms.EncryptEnv(spec.Env, key)
		if err != nil {
			return err
		}
		st.Checks = append(st.Checks, checks...)
		st.EncryptedEnv = openapi.Secret(ciphertext)
	}
	st.Phase = PhaseEncrypted
	cfg.report(st.Checks[made:])
	if len(spec.Env) > 0 {
		cfg.progress(EncryptedEvent{Names: st.EnvKeys, Bytes: len(st.EncryptedEnv) / 2})
	}
	return cfg.checkpoint(st)
}

// sameNames refuses secrets that are not those of the provision: the guest would drop or miss some.
func (s *State) sameNames(names []string) error {
	if len(names) != len(s.EnvKeys) {
		return fmt.Errorf("%d secrets for a provision that announced %d (%v)", len(names), len(s.EnvKeys), s.EnvKeys)
	}
	for i, name := range names {
		if name != s.EnvKeys[i] {
			return fmt.Errorf("secret %d is %s, but the provision announced %s", i+1, name, s.EnvKeys[i])
		}
	}
	return nil
}

// envKey returns the key to encrypt for, with the checks it has passed.
func envKey(ctx context.Context, c *client.Client, st *State, cfg *config) (kms.PublicKey, []Check, error) {
	if cfg.skipKeyCheck && st.ProvisionKey != "" {
		key, err := kms.ParsePublicKey(st.ProvisionKey)
		return key, []Check{{Name: CheckKMSRoot, Outcome: Waived, Reason: "SkipKMSKeyCheck"}}, err
	}
	if st.KMS == "" {
		return kms.PublicKey{}, nil, fmt.Errorf("deploy %s: the cloud did not name the KMS to ask for the app's key", st.Name)
	}
	answer, err := c.KMS.GetAppEnvPublicKey(ctx, st.KMS, st.AppID.String())
	if err != nil {
		return kms.PublicKey{}, nil, fmt.Errorf("env key of app %s: %w", st.AppID, err)
	}
	key, err := kms.ParsePublicKey(answer.PublicKey)
	if err != nil {
		return kms.PublicKey{}, nil, fmt.Errorf("env key of app %s: %w", st.AppID, err)
	}
	var checks []Check
	if st.ProvisionKey != "" {
		named, err := kms.ParsePublicKey(st.ProvisionKey)
		if err != nil {
			return kms.PublicKey{}, nil, fmt.Errorf("env key of the provision: %w", err)
		}
		check, err := compare(CheckEnvKey, named.String(), key.String())
		if err != nil {
			return kms.PublicKey{}, nil, err
		}
		checks = append(checks, check)
	}
	if cfg.skipKeyCheck {
		return key, append(checks, Check{Name: CheckKMSRoot, Outcome: Waived, Reason: "SkipKMSKeyCheck"}), nil
	}
	check, err := checkRoot(ctx, c, st, key, answer.Signature, cfg)
	return key, append(checks, check), err
}

// checkRoot checks that the KMS root signed key for this app.
func checkRoot(ctx context.Context, c *client.Client, st *State, key kms.PublicKey, signature string, cfg *config) (Check, error) {
	sig, err := kms.ParseSignature(signature)
	if err != nil {
		return Check{}, fmt.Errorf("signature of the env key: %w", err)
	}
	signer, err := kms.RecoverSigner(st.AppID, key, sig)
	if err != nil {
		return Check{}, fmt.Errorf("signature of the env key: %w", err)
	}
	roots, reason := cfg.roots, ""
	if cfg.chain != nil && len(roots) == 0 && !cfg.rootFromCloud {
		root, err := cfg.chain.RootKey(ctx)
		if err != nil {
			return Check{}, fmt.Errorf("root key in the contract of the KMS: %w", err)
		}
		roots, reason = []kms.Signer{root}, fmt.Sprintf("the root is the one in the KMS's contract on chain %d", cfg.chain.ChainID())
	}
	if cfg.rootFromCloud {
		root, err := cloudRoot(ctx, c, st)
		if err != nil {
			return Check{}, err
		}
		roots, reason = []kms.Signer{root}, "the root is the cloud's own word (TrustKMSRootFromCloud)"
	}
	if err := kms.CheckSigner(signer, roots...); err != nil {
		return Check{}, &MismatchError{What: CheckKMSRoot, Local: roots[0].String(), Remote: signer.String()}
	}
	return Check{Name: CheckKMSRoot, Outcome: Passed, Local: signer.String(), Remote: signer.String(), Reason: reason}, nil
}

// cloudRoot asks the cloud for the root key of the KMS.
func cloudRoot(ctx context.Context, c *client.Client, st *State) (kms.Signer, error) {
	text := st.CloudRoot
	if text == "" {
		info, err := c.KMS.Inspect(ctx, st.KMS)
		if err != nil {
			return kms.Signer{}, fmt.Errorf("root key of KMS %s: %w", st.KMS, err)
		}
		if info.RPC == nil {
			return kms.Signer{}, fmt.Errorf("root key of KMS %s: the cloud does not show it (%s)", st.KMS, info.RPCError)
		}
		text = info.RPC.BootstrapInfo.K256PublicKey
	}
	root, err := kms.ParseSigner(text)
	if err != nil {
		return kms.Signer{}, fmt.Errorf("root key of KMS %s: %w", st.KMS, err)
	}
	return root, nil
}
