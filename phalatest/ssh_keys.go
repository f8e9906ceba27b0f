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
	workspace                           *Workspace
	github                              string // user that it was imported from; empty if it was added by a call
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

func (w *Workspace) addSSHKey(name, public, github string) (*sshKey, *response) {
	kind, fingerprint, err := parseSSHKey(public)
	if err != nil {
		return nil, plainError(http.StatusBadRequest, err.Error())
	}
	if slices.ContainsFunc(w.sshKeys, func(k *sshKey) bool { return k.fingerprint == fingerprint }) {
		return nil, plainError(http.StatusBadRequest, "The key exists already")
	}
	w.server.keyNumber++
	k := &sshKey{
		id: fmt.Sprintf("sshkey_%06d", w.server.keyNumber), workspace: w, name: name, public: public, kind: kind, fingerprint: fingerprint, github: github,
		created: time.Now().UTC(),
	}
	if github != "" {
		k.synced = k.created
	}
	w.sshKeys = append(w.sshKeys, k)
	return k, nil
}

func (k *sshKey) describe() openapi.SSHKey {
	described := openapi.SSHKey{
		ID: openapi.ID(k.id), UserID: openapi.ID(k.workspace.userID()), Name: k.name, PublicKey: k.public, Fingerprint: k.fingerprint, KeyType: k.kind,
		Source: "manual", LastSyncedAt: second(k.synced), CreatedAt: second(k.created), UpdatedAt: second(k.created),
	}
	if k.github != "" {
		described.Source, described.KeyMetadata = "github", openapi.RawJSON(`{"github_username":`+strconv.Quote(k.github)+`}`)
	}
	return described
}

func (*Server) answerSSHKeysList(c *call) *response {
	return ok(mapped(c.workspace.sshKeys, (*sshKey).describe))
}

func (*Server) answerSSHKeysCreate(c *call, r openapi.CreateSSHKeyRequest) *response {
	k, bad := c.workspace.addSSHKey(r.Name, r.PublicKey, "")
	if bad != nil {
		return bad
	}
	return created(k.describe())
}

func (w *Workspace) sshKey(id string) *sshKey {
	return first(w.sshKeys, func(k *sshKey) bool { return k.id == id })
}

// answerSSHKeysDelete removes the key from the account, and so from the lists of its CVMs.
func (*Server) answerSSHKeysDelete(c *call) *response {
	k := c.workspace.sshKey(c.params["key_id"])
	if k == nil {
		return plainError(http.StatusNotFound, "SSH key not found")
	}
	c.workspace.dropSSHKey(k)
	return noContent()
}

func (w *Workspace) dropSSHKey(k *sshKey) {
	w.sshKeys = slices.DeleteFunc(w.sshKeys, func(other *sshKey) bool { return other == k })
}

// SetGitHubKeys sets the public keys of a user's GitHub profile. The cloud never uses the network.
func (s *Server) SetGitHubKeys(user string, publicKeys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.github[user] = slices.Clone(publicKeys)
}

func (s *Server) answerSSHKeysImportGitHub(c *call, r openapi.ImportGitHubRequest) *response {
	keys, exists := s.github[r.GitHubUsername]
	if !exists {
		return plainError(http.StatusBadRequest, "GitHub has no user "+r.GitHubUsername)
	}
	added, skipped := c.workspace.addFromGitHub(r.GitHubUsername, keys)
	return ok(openapi.GitHubImport{GitHubUsername: r.GitHubUsername, KeysAdded: added, KeysSkipped: skipped, Errors: []string{}})
}

func (w *Workspace) addFromGitHub(user string, keys []string) (added, skipped int) {
	for i, public := range keys {
		if _, bad := w.addSSHKey(fmt.Sprintf("%s-%d", user, i+1), public, user); bad != nil {
			skipped++
			continue
		}
		added++
	}
	return added, skipped
}

// answerSSHKeysSyncGitHub replaces the keys that were imported from GitHub by the present ones of their users.
func (s *Server) answerSSHKeysSyncGitHub(c *call) *response {
	users, added, updated, removed := map[string]bool{}, 0, 0, 0
	for _, k := range slices.Clone(c.workspace.sshKeys) {
		switch {
		case k.github == "":
			continue
		case slices.Contains(s.github[k.github], k.public):
			k.synced = time.Now().UTC()
			updated++
		default:
			c.workspace.dropSSHKey(k)
			removed++
		}
		users[k.github] = true
	}
	for user := range users {
		n, _ := c.workspace.addFromGitHub(user, s.github[user])
		added += n
	}
	return ok(openapi.GitHubSync{SyncedCount: added + updated, KeysAdded: added, KeysUpdated: updated, KeysRemoved: removed, Errors: []string{}})
}

func (vm *cvm) describeSSHKeys(restart bool) openapi.CVMSSHKeys {
	w := vm.app.workspace
	described := openapi.CVMSSHKeys{Keys: []openapi.CVMSSHKey{}, RestartRequired: &restart}
	for _, id := range vm.keyIDs {
		if k := w.sshKey(id); k != nil {
			described.Keys = append(described.Keys, openapi.CVMSSHKey{
				ID: openapi.ID(k.id), OwnerUserID: openapi.ID(w.userID()), OwnerUsername: w.userName(), AddedByUserID: openapi.ID(w.userID()),
				Name: k.name, PublicKey: k.public, Fingerprint: k.fingerprint, KeyType: k.kind,
			})
		}
	}
	return described
}

func (*Server) answerCVMsListSSHKeys(c *call) *response { return ok(c.vm.describeSSHKeys(false)) }

// answerCVMsSetSSHKeys sets the keys of a CVM: the named keys of the account, and all keys of the named users.
func (s *Server) answerCVMsSetSSHKeys(c *call, r openapi.SetCVMSSHKeysRequest) *response {
	if deref(r.ApplyNow) && c.vm.op != nil {
		return conflict()
	}
	next := []string{}
	for _, id := range r.SSHKeyIDs {
		if c.workspace.sshKey(id) == nil {
			return plainError(http.StatusNotFound, "SSH key "+id+" not found")
		}
		next = append(next, id)
	}
	for _, user := range r.Usernames {
		if user != c.workspace.userName() {
			return plainError(http.StatusNotFound, "User "+user+" not found")
		}
		for _, k := range c.workspace.sshKeys {
			if !slices.Contains(next, k.id) {
				next = append(next, k.id)
			}
		}
	}
	deleted := func(id string) bool { return c.workspace.sshKey(id) == nil }
	changed := !slices.Equal(next, slices.DeleteFunc(c.vm.keyIDs, deleted))
	c.vm.keyIDs = next
	if deref(r.ApplyNow) {
		s.bootCVM(c.vm, "restart", "restarting")
		changed = false
	}
	return ok(c.vm.describeSSHKeys(changed))
}
