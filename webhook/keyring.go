package webhook

import (
	"slices"
	"sync"
)

// keyring has the secrets that a delivery may be signed with. It is behind a pointer wherever it is held, so that no
// way of formatting what holds it shows them.
type keyring struct {
	mu      sync.RWMutex
	secrets []string
}

func (k *keyring) all() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.secrets
}

// add accepts more secrets, unless one of them cannot be one.
func (k *keyring) add(more []string) error {
	for _, secret := range more {
		if err := checkSecret(secret); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets = append(slices.Clone(k.secrets), more...)
	return nil
}

// replace accepts these secrets and no others from now on, unless one of them cannot be one.
func (k *keyring) replace(secrets []string) error {
	for _, secret := range secrets {
		if err := checkSecret(secret); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets = slices.Clone(secrets)
	return nil
}
