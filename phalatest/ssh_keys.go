package phalatest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/openapi"
)

// sshKey is a key of the account.
type sshKey struct {
	id, name, public, kind, fingerprint string
	tenant                              *Tenant
	github                              string // user it came from; empty where it was added by hand
	created                             time.Time
	synced                              time.Time
}

func parseSSHKey(text string) (kind, fingerprint string, err error) {
	fields := strings.Fields(text)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "ssh-") && !strings.HasPrefix(fields[0], "ecdsa-") && !strings.HasPrefix(fields[0], "sk-") {
		return "", "", fmt.Errorf("not a public key in the form of OpenSSH")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return "", "", fmt.Errorf("not a public key in the form of OpenSSH: %w", err)
	}
	sum := sha256.Sum256(blob)
	return fields[0], "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

func (t *Tenant) addSSHKey(name, public, github string) (*sshKey, *answer) {
	kind, fingerprint, err := parseSSHKey(public)
	if err != nil {
		bad := plain(http.StatusBadRequest, err.Error())
		return nil, &bad
	}
	if slices.ContainsFunc(t.sshKeys, func(k *sshKey) bool { return k.fingerprint == fingerprint }) {
		bad := plain(http.StatusBadRequest, "The key is there already")
		return nil, &bad
	}
	t.server.keyNumber++
	k := &sshKey{
		id: fmt.Sprintf("sshkey_%06d", t.server.keyNumber), tenant: t, name: name, public: public, kind: kind, fingerprint: fingerprint, github: github,
		created: time.Now().UTC(),
	}
	if github != "" {
		k.synced = k.created
	}
	t.sshKeys = append(t.sshKeys, k)
	return k, nil
}

func (k *sshKey) describe() openapi.SSHKey {
	described := openapi.SSHKey{
		ID: openapi.ID(k.id), UserID: openapi.ID(k.tenant.userID()), Name: k.name, PublicKey: k.public, Fingerprint: k.fingerprint, KeyType: k.kind,
		Source: "manual", LastSyncedAt: second(k.synced), CreatedAt: second(k.created), UpdatedAt: second(k.created),
	}
	if k.github != "" {
		described.Source, described.KeyMetadata = "github", openapi.RawJSON(`{"github_username":`+strconv.Quote(k.github)+`}`)
	}
	return described
}

func listSSHKeys(_ *Server, c *call) answer {
	all := []openapi.SSHKey{}
	for _, k := range c.tenant.sshKeys {
		all = append(all, k.describe())
	}
	return ok(all)
}

func createSSHKey(s *Server, c *call) answer {
	var r openapi.CreateSSHKeyRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	k, bad := c.tenant.addSSHKey(r.Name, r.PublicKey, "")
	if bad != nil {
		return *bad
	}
	return answer{status: http.StatusCreated, body: k.describe()}
}

func (t *Tenant) sshKey(id string) *sshKey {
	i := slices.IndexFunc(t.sshKeys, func(k *sshKey) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return t.sshKeys[i]
}

// deleteSSHKey takes the key from the account. The CVMs that have its id show it no more.
func deleteSSHKey(_ *Server, c *call) answer {
	k := c.tenant.sshKey(c.params["key_id"])
	if k == nil {
		return plain(http.StatusNotFound, "SSH key not found")
	}
	c.tenant.dropSSHKey(k)
	return noContent()
}

func (t *Tenant) dropSSHKey(k *sshKey) {
	t.sshKeys = slices.DeleteFunc(t.sshKeys, func(other *sshKey) bool { return other == k })
}

// SetGitHubKeys sets the public keys of a user's GitHub profile. The cloud never uses the network.
func (s *Server) SetGitHubKeys(user string, publicKeys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.github[user] = slices.Clone(publicKeys)
}

func importGitHub(s *Server, c *call) answer {
	var r openapi.ImportGitHubRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	keys, there := s.github[r.GitHubUsername]
	if !there {
		return plain(http.StatusBadRequest, "GitHub does not know the user "+r.GitHubUsername)
	}
	added, skipped := c.tenant.addFromGitHub(r.GitHubUsername, keys)
	return ok(openapi.GitHubImport{GitHubUsername: r.GitHubUsername, KeysAdded: added, KeysSkipped: skipped, Errors: []string{}})
}

func (t *Tenant) addFromGitHub(user string, keys []string) (added, skipped int) {
	for i, public := range keys {
		if _, bad := t.addSSHKey(fmt.Sprintf("%s-%d", user, i+1), public, user); bad != nil {
			skipped++
			continue
		}
		added++
	}
	return added, skipped
}

// syncGitHub makes the keys that came from GitHub those that are there now.
func syncGitHub(s *Server, c *call) answer {
	users, added, updated, removed := map[string]bool{}, 0, 0, 0
	for _, k := range slices.Clone(c.tenant.sshKeys) {
		switch {
		case k.github == "":
			continue
		case slices.Contains(s.github[k.github], k.public):
			k.synced = time.Now().UTC()
			updated++
		default:
			c.tenant.dropSSHKey(k)
			removed++
		}
		users[k.github] = true
	}
	for user := range users {
		n, _ := c.tenant.addFromGitHub(user, s.github[user])
		added += n
	}
	return ok(openapi.GitHubSync{SyncedCount: added + updated, KeysAdded: added, KeysUpdated: updated, KeysRemoved: removed, Errors: []string{}})
}

func describeCVMKeys(vm *cvm, restart bool) openapi.CVMSSHKeys {
	t := vm.tenant()
	described := openapi.CVMSSHKeys{Keys: []openapi.CVMSSHKey{}, RestartRequired: &restart}
	for _, id := range vm.keyIDs {
		if k := t.sshKey(id); k != nil {
			described.Keys = append(described.Keys, openapi.CVMSSHKey{
				ID: openapi.ID(k.id), OwnerUserID: openapi.ID(t.userID()), OwnerUsername: t.userName(), AddedByUserID: openapi.ID(t.userID()),
				Name: k.name, PublicKey: k.public, Fingerprint: k.fingerprint, KeyType: k.kind,
			})
		}
	}
	return described
}

func listCVMKeys(_ *Server, _ *call, vm *cvm) answer { return ok(describeCVMKeys(vm, false)) }

// setCVMKeys sets the keys of a CVM: the named keys of the account, and all keys of the named users.
func setCVMKeys(s *Server, c *call, vm *cvm) answer {
	var r openapi.SetCVMSSHKeysRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	if deref(r.ApplyNow) && vm.op != nil {
		return plain(http.StatusConflict, busy)
	}
	next := []string{}
	for _, id := range r.SSHKeyIDs {
		if c.tenant.sshKey(id) == nil {
			return plain(http.StatusNotFound, "SSH key "+id+" not found")
		}
		next = append(next, id)
	}
	for _, user := range r.Usernames {
		if user != c.tenant.userName() {
			return plain(http.StatusNotFound, "User "+user+" not found")
		}
		for _, k := range c.tenant.sshKeys {
			if !slices.Contains(next, k.id) {
				next = append(next, k.id)
			}
		}
	}
	gone := func(id string) bool { return c.tenant.sshKey(id) == nil }
	changed := !slices.Equal(next, slices.DeleteFunc(vm.keyIDs, gone))
	vm.keyIDs = next
	if deref(r.ApplyNow) {
		s.bootCVM(vm, "restart", "restarting")
		changed = false
	}
	return ok(describeCVMKeys(vm, changed))
}
