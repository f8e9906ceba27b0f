package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// A victim and an attacker have apps of their own under one KMS, in one cloud. The cloud serves the attacker: in the
// answers to the victim it puts what belongs to the attacker's app in place of what belongs to the victim's, one kind
// of value alone, each pair of kinds, and all at once. Whatever a flow returns then, three things hold: no ciphertext
// that it sent can be read by the attacker's app, the chain allows nothing of the attacker's, and a flow that ends
// without an error has done what its caller asked for.

const (
	victimCompose   = "services:\n  web:\n    image: nginx\n    environment: [\"TOKEN=${TOKEN}\"]\n"
	victimUpdate    = "services:\n  web:\n    image: nginx:2\n    environment: [\"TOKEN=${TOKEN}\"]\n"
	attackerCompose = "services:\n  thief:\n    image: thief\n    environment: [\"TOKEN=${TOKEN}\"]\n"
)

// substitution is a kind of value of the attacker's that the cloud puts in place of the victim's.
type substitution string

const (
	theirApp      substitution = "app id"
	theirUUID     substitution = "vm_uuid"
	theirCVM      substitution = "cvm" // the whole description
	theirKey      substitution = "key" // with its signature
	theirHash     substitution = "compose hash"
	theirDocument substitution = "document"
	theirDevice   substitution = "device"
	theirEvidence substitution = "evidence" // the whole answer
)

// substitutions are all kinds alone, all pairs, and all at once.
func substitutions() [][]substitution {
	all := []substitution{theirApp, theirUUID, theirCVM, theirKey, theirHash, theirDocument, theirDevice, theirEvidence}
	sets := [][]substitution{all}
	for i, one := range all {
		sets = append(sets, []substitution{one})
		for _, other := range all[i+1:] {
			sets = append(sets, []substitution{one, other})
		}
	}
	return sets
}

// onChain are the substitutions that are tried beside a chain: all, but for pairs under the race detector, since the
// flows take real time there.
func onChain() [][]substitution {
	if !underRace {
		return substitutions()
	}
	return slices.DeleteFunc(substitutions(), func(kinds []substitution) bool { return len(kinds) == 2 })
}

// stage is a cloud with both tenants.
type stage struct {
	*phalatest.Server
	chain    *chaintest.Chain // nil with the central KMS
	c        *client.Client   // the victim's
	theirs   *client.Client
	trust    []deploy.Option
	attacker *deploy.App
	loot     loot
	mu       sync.Mutex
	sent     []string // every encrypted environment that the victim sent
}

var encryptedEnv = regexp.MustCompile(`"encrypted_env":"([0-9a-fx]+)"`)

// newStage starts a cloud, and deploys the attacker's app on it.
func newStage(t *testing.T, chain *chaintest.Chain) *stage {
	t.Helper()
	opts := []phalatest.Option{phalatest.Lenient()}
	if chain != nil {
		opts = append(opts, phalatest.WithChain(chain.View()), phalatest.WithTick(time.Millisecond))
	}
	s := &stage{Server: phalatest.New(t, opts...), chain: chain}
	tenant := s.NewWorkspace("attacker")
	var err error
	s.theirs, err = tenant.Client()
	require.NoError(t, err)
	s.c, err = s.Client(client.WithMiddleware(s.record))
	require.NoError(t, err)
	s.trust = []deploy.Option{deploy.WithVerification(s.AttestationPolicy())}
	theirs := append(slices.Clone(s.trust), deploy.TrustAppIDFromCloud())
	if chain != nil {
		theirs = append(theirs, deploy.WithChain(s.open(t, 1)), deploy.TrustDeviceFromCloud())
		s.trust = append(s.trust, deploy.WithChain(s.open(t, 0)))
	} else {
		theirs = append(theirs, deploy.WithKMSRoot(s.KMSRoot()))
	}
	doc, err := compose.New(attackerCompose, compose.WithPreLaunchScript("#!/bin/sh\nthief\n"))
	require.NoError(t, err)
	s.attacker, err = deploy.Run(t.Context(), s.theirs, deploy.Spec{
		Name: "attacker", Compose: doc, Env: []compose.EnvVar{{Key: "TOKEN", Value: "theirs"}}, Region: "test-2",
	}, theirs...)
	require.NoError(t, err)
	s.collectLoot(t)
	return s
}

func (s *stage) open(t *testing.T, account int) deploy.Chain {
	t.Helper()
	signer, err := onchain.PrivateKeySigner(s.chain.Accounts[account])
	require.NoError(t, err)
	opened, err := s.chain.Open(t.Context(), onchain.WithSigner(signer))
	require.NoError(t, err)
	return opened.Flow()
}

// record keeps every encrypted environment of a request.
func (s *stage) record(_ string, r *http.Request, next client.RoundTrip) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		for _, found := range encryptedEnv.FindAllSubmatch(body, -1) {
			s.sent = append(s.sent, string(found[1]))
		}
		s.mu.Unlock()
	}
	return next(r)
}

// loot is what the cloud knows of the attacker's app.
type loot struct {
	members  map[substitution]map[string]any // by the name of a member
	cvm      []byte
	evidence *openapi.AppAttestations
	ofCVM    []byte // evidence, as a CVM alone shows it
}

func (s *stage) collectLoot(t *testing.T) {
	t.Helper()
	ctx, app := t.Context(), s.attacker
	key, err := s.theirs.KMS.GetAppEnvPublicKey(ctx, app.KMS, app.ID.String())
	require.NoError(t, err)
	cvm, err := s.theirs.CVMs.Get(ctx, app.CVMs[0].ID)
	require.NoError(t, err)
	all, err := s.theirs.Apps.GetAttestations(ctx, app.ID.String())
	require.NoError(t, err)
	device := all.Instances[0].DeviceID
	s.loot.members = map[substitution]map[string]any{
		theirApp:      {"app_id": app.ID.String(), "contract_address": app.ID.Address().Hex(), "dstack_app_address": app.ID.Address().Hex()},
		theirUUID:     {"vm_uuid": cvm.VMUUID},
		theirCVM:      {"vm_uuid": cvm.VMUUID, "name": cvm.Name},
		theirKey:      {"public_key": key.PublicKey, "signature": key.Signature, "app_env_encrypt_pubkey": key.PublicKey, "encrypted_env_pubkey": key.PublicKey},
		theirHash:     {"compose_hash": app.ComposeHash.String()},
		theirDocument: {"docker_compose_file": attackerCompose, "app_compose": app.Document, "compose_file": app.Document},
		theirDevice:   {"device_id": device},
	}
	s.loot.cvm, err = json.Marshal(cvm)
	require.NoError(t, err)
	s.loot.evidence = all
	one, err := s.theirs.CVMs.GetAttestation(ctx, app.CVMs[0].ID)
	require.NoError(t, err)
	s.loot.ofCVM, err = json.Marshal(one)
	require.NoError(t, err)
}

// evidenceFor is the attacker's evidence under the name of each instance that an answer lists.
func (l loot) evidenceFor(body []byte) []byte {
	var own openapi.AppAttestations
	if json.Unmarshal(body, &own) != nil {
		return body
	}
	for i := range own.Instances {
		uuid := own.Instances[i].VMUUID
		own.Instances[i] = l.evidence.Instances[0]
		own.Instances[i].VMUUID = uuid
	}
	changed, _ := json.Marshal(own)
	return changed
}

// substitute makes the cloud put what is the attacker's into every answer that a flow reads.
func (s *stage) substitute(kinds []substitution) {
	members := map[string]any{}
	for _, kind := range kinds {
		for name, value := range s.loot.members[kind] {
			members[name] = value
		}
	}
	for _, operation := range tampered {
		s.TamperResponse(operation, func(status int, body []byte) (int, []byte) {
			switch {
			case operation == "CVMs.Get" && slices.Contains(kinds, theirCVM):
				status, body = http.StatusOK, s.loot.cvm
			case operation == "Apps.GetAttestations" && slices.Contains(kinds, theirEvidence):
				body = s.loot.evidenceFor(body)
			case operation == "CVMs.GetAttestation" && slices.Contains(kinds, theirEvidence):
				status, body = http.StatusOK, s.loot.ofCVM
			case operation == "CVMs.GetComposeFile" && slices.Contains(kinds, theirDocument):
				return http.StatusOK, []byte(s.attacker.Document)
			}
			var answer any
			if json.Unmarshal(body, &answer) != nil {
				return status, body
			}
			replace(answer, members)
			changed, _ := json.Marshal(answer)
			return status, changed
		})
	}
}

// replace replaces members by their name, at any depth, if they are there and have the same type.
func replace(value any, members map[string]any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			replace(item, members)
		}
	case map[string]any:
		for name := range v {
			if their, ok := members[name]; ok && fmt.Sprintf("%T", v[name]) == fmt.Sprintf("%T", their) {
				v[name] = their
			} else {
				replace(v[name], members)
			}
		}
	}
}

// tampered are the operations whose answers a flow reads.
var tampered = []string{
	"CVMs.Provision", "CVMs.Create", "CVMs.Get", "CVMs.GetState", "CVMs.Update", "CVMs.ProvisionComposeUpdate", "CVMs.CommitComposeUpdate",
	"CVMs.CommitUpdate", "CVMs.Replicate", "CVMs.CommitReplica", "CVMs.GetComposeFile", "CVMs.GetAttestation", "Apps.ListCVMs",
	"Apps.GetAttestations", "Apps.CreateInstance", "Apps.ListRevisions", "Apps.GetRevision", "KMS.GetAppEnvPublicKey", "OSImages.List",
}

// impatient bounds the waits of the flows that follow, which take real time beside a chain.
func (s *stage) impatient() {
	if s.chain != nil {
		s.trust = append(s.trust, deploy.WithBootTimeout(300*time.Millisecond))
	}
}

// honest ends the substitutions.
func (s *stage) honest() {
	for _, operation := range tampered {
		s.TamperResponse(operation, nil)
	}
}

// requireNothingStolen checks what holds after every flow, whatever it returned.
func (s *stage) requireNothingStolen(t *testing.T, mine *deploy.App) {
	t.Helper()
	s.mu.Lock()
	sent := slices.Clone(s.sent)
	s.mu.Unlock()
	for _, ciphertext := range sent {
		_, err := s.Decrypt(s.attacker.ID, ciphertext)
		require.Error(t, err, "the attacker's app can read what was sent")
	}
	if s.chain == nil || mine == nil {
		return
	}
	allowed, err := s.chain.IsHashAllowed(t.Context(), mine.ID, s.attacker.ComposeHash)
	require.NoError(t, err)
	require.False(t, allowed, "the victim's contract allows the attacker's document")
	a, err := s.open(t, 0).Allowance(t.Context(), mine.ID, s.attacker.ComposeHash, s.attacker.Devices[0])
	require.NoError(t, err)
	require.False(t, a.Device, "the victim's contract allows the attacker's machine")
}

// attempt is a flow that a victim runs on an app that exists. done checks what a success came to.
type attempt struct {
	prepare func(*testing.T, *stage, *deploy.App) *deploy.App // honest; nil if nothing comes before
	run     func(context.Context, *stage, *deploy.App) (*deploy.App, error)
	done    func(*testing.T, *stage, *deploy.App, *deploy.App)
	// must are the substitutions that have to end the flow in an error, alone.
	must []substitution
	// onChain is true for a flow that needs a KMS on a chain.
	onChain bool
}

func attempts() map[string]attempt {
	token := []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}}
	changed := func(t *testing.T, s *stage, before, after *deploy.App) {
		assert.Contains(t, after.Document, "nginx:2")
		runs(t, s, after.CVMs[0].ID, after.ComposeHash)
	}
	same := func(t *testing.T, s *stage, before, after *deploy.App) {
		assert.Equal(t, before.ComposeHash, after.ComposeHash)
		runs(t, s, after.CVMs[0].ID, before.ComposeHash)
	}
	another := func(t *testing.T, s *stage, before, after *deploy.App) {
		require.Len(t, after.CVMs, 2)
		runs(t, s, after.CVMs[1].ID, before.ComposeHash)
	}
	return map[string]attempt{
		"update of the document": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				return deploy.Update(ctx, s.c, app, deploy.UpdateSpec{DockerCompose: victimUpdate}, s.trust...)
			},
			done: changed, must: []substitution{theirApp, theirCVM, theirHash, theirEvidence},
		},
		"update of document and secrets": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				return deploy.Update(ctx, s.c, app, deploy.UpdateSpec{DockerCompose: victimUpdate, Env: token}, s.trust...)
			},
			done: changed, must: []substitution{theirApp, theirCVM, theirHash, theirKey, theirEvidence},
		},
		"update of the secrets": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				return deploy.Update(ctx, s.c, app, deploy.UpdateSpec{Env: token}, s.trust...)
			},
			done: same, must: []substitution{theirApp, theirCVM, theirHash, theirKey, theirEvidence},
		},
		"update of a CVM that goes by its name": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				return deploy.Update(ctx, s.c, app, deploy.UpdateSpec{CVM: "victim", Env: token}, s.trust...)
			},
			done: same, must: []substitution{theirApp, theirHash, theirKey, theirEvidence},
		},
		"rollback": {
			prepare: func(t *testing.T, s *stage, app *deploy.App) *deploy.App {
				next, err := deploy.Update(t.Context(), s.c, app, deploy.UpdateSpec{DockerCompose: victimUpdate}, s.trust...)
				require.NoError(t, err)
				return next
			},
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				hash := app.Revisions[0].ComposeHash
				app.Revisions = nil // so that the text comes from the cloud
				return deploy.Rollback(ctx, s.c, app, deploy.RollbackSpec{ComposeHash: hash, Env: token}, s.trust...)
			},
			done: func(t *testing.T, s *stage, before, after *deploy.App) {
				assert.Contains(t, after.Document, inJSON(victimCompose))
				runs(t, s, after.CVMs[0].ID, after.ComposeHash)
			}, must: []substitution{theirApp, theirCVM, theirHash, theirKey},
		},
		"replica": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				return deploy.Replicate(ctx, s.c, app, deploy.ReplicaSpec{Env: token}, s.trust...)
			},
			done: another, must: []substitution{theirApp, theirCVM, theirHash, theirKey},
		},
		"instance": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				return deploy.AddInstance(ctx, s.c, app, deploy.InstanceSpec{Env: token}, s.trust...)
			},
			done: another, must: []substitution{theirApp, theirHash, theirKey},
		},
		"prepare, approve and commit": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				opened, err := s.chain.Open(ctx)
				if err != nil {
					return nil, err
				}
				p, err := deploy.Prepare(ctx, s.c, app, deploy.UpdateSpec{DockerCompose: victimUpdate, Env: token}, deploy.WithChain(opened.Flow()))
				if err != nil {
					return nil, err
				}
				if err := deploy.Approve(ctx, opened.Flow(), &p.Approval); err != nil {
					return nil, err
				}
				if err := deploy.Commit(ctx, s.c, p); err != nil {
					return nil, err
				}
				return deploy.Finish(ctx, s.c, p, s.trust...)
			},
			done: changed, must: []substitution{theirApp, theirUUID, theirCVM, theirKey, theirEvidence}, onChain: true,
		},
		"attach": {
			run: func(ctx context.Context, s *stage, app *deploy.App) (*deploy.App, error) {
				opts := []deploy.Option{deploy.WithKMSRoot(s.KMSRoot())}
				if s.chain != nil {
					opened, err := s.chain.Open(ctx)
					if err != nil {
						return nil, err
					}
					opts = []deploy.Option{deploy.WithChain(opened.Flow())}
				}
				return deploy.Attach(ctx, s.c, app.ID, s.AttestationPolicy(), opts...)
			},
			done: func(t *testing.T, s *stage, before, after *deploy.App) {
				assert.Equal(t, before.Document, after.Document)
				assert.Equal(t, before.ID, after.ID)
			},
			must: []substitution{theirApp, theirEvidence},
		},
	}
}

// runs checks that a CVM runs a document, by an honest answer of the cloud.
func runs(t *testing.T, s *stage, cvm string, hash compose.Hash) {
	t.Helper()
	s.honest()
	detail, err := s.c.CVMs.Get(t.Context(), cvm)
	require.NoError(t, err)
	assert.Equal(t, hash.String(), detail.ComposeHash)
}

func victimSpec(t *testing.T) deploy.Spec {
	t.Helper()
	doc, err := compose.New(victimCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	return deploy.Spec{Name: "victim", Compose: doc, Env: []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}}}
}

func (s *stage) deployVictim(t *testing.T) *deploy.App {
	t.Helper()
	opts := slices.Clone(s.trust)
	if s.chain == nil {
		opts = append(opts, deploy.WithKMSRoot(s.KMSRoot()), deploy.WithTeamWallet(s.TeamWallet()))
	} else {
		opts = append(opts, deploy.TrustDeviceFromCloud())
	}
	app, err := deploy.Run(t.Context(), s.c, victimSpec(t), opts...)
	require.NoError(t, err)
	// What a process saves and another one loads is all that the flows get.
	data, err := json.Marshal(app)
	require.NoError(t, err)
	app, err = deploy.ParseApp(data)
	require.NoError(t, err)
	return app
}

func TestFlows_CloudAnswersForAnotherTenant(t *testing.T) {
	for name, a := range attempts() {
		if a.onChain {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, kinds := range substitutions() {
				t.Run(fmt.Sprint(kinds), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { a.try(t, newStage(t, nil), kinds) })
				})
			}
		})
	}
}

func TestFlows_CloudAnswersForAnotherTenantOnChain(t *testing.T) {
	t.Parallel()
	for name, a := range attempts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := chaintest.New(t)
			for _, kinds := range onChain() {
				t.Run(fmt.Sprint(kinds), func(t *testing.T) { a.try(t, newStage(t, chain), kinds) })
			}
		})
	}
}

func (a attempt) try(t *testing.T, s *stage, kinds []substitution) {
	t.Helper()
	app := s.deployVictim(t)
	if a.prepare != nil {
		app = a.prepare(t, s, app)
	}
	s.substitute(kinds)
	s.impatient()
	after, err := a.run(t.Context(), s, app)
	s.requireNothingStolen(t, app)
	if len(kinds) == 1 && slices.Contains(a.must, kinds[0]) {
		require.Error(t, err)
	}
	if err == nil {
		require.Equal(t, app.ID, after.ID)
		a.done(t, s, app, after)
	}
}

// The same for a first deployment: what the victim has before it is the wallet or the chain, and the root.
func TestRun_CloudAnswersForAnotherTenant(t *testing.T) {
	for _, kinds := range substitutions() {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, nil)
				s.tryFirst(t, kinds, deploy.WithKMSRoot(s.KMSRoot()), deploy.WithTeamWallet(s.TeamWallet()))
			})
		})
	}
}

func TestRun_CloudAnswersForAnotherTenantOnChain(t *testing.T) {
	t.Parallel()
	chain := chaintest.New(t)
	for _, kinds := range onChain() {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) { newStage(t, chain).tryFirst(t, kinds) })
	}
}

func (s *stage) tryFirst(t *testing.T, kinds []substitution, opts ...deploy.Option) {
	t.Helper()
	spec := victimSpec(t)
	if s.chain != nil {
		spec.Contract.Devices = []kms.DeviceID{s.deviceOfNode(t)}
	}
	s.substitute(kinds)
	s.impatient()
	after, err := deploy.Run(t.Context(), s.c, spec, slices.Concat(s.trust, opts)...)
	s.requireNothingStolen(t, after)
	if len(kinds) == 1 && kinds[0] != theirDocument && (kinds[0] != theirDevice || s.chain != nil) {
		require.Error(t, err)
	}
	if err == nil {
		runs(t, s, after.CVMs[0].ID, after.ComposeHash)
		assert.Contains(t, after.Document, inJSON(victimCompose))
	}
}

// deviceOfNode is the machine that the victim knows: the one of the node that the cloud chooses.
func (s *stage) deviceOfNode(t *testing.T) kms.DeviceID {
	t.Helper()
	doc, err := compose.New(victimCompose)
	require.NoError(t, err)
	var request openapi.ProvisionRequest
	request.Name = "look-1"
	request.KMSContract = openapi.Ptr(s.chain.KMS.Hex())
	text, err := doc.Canonical()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &request.ComposeFile))
	answer, err := s.c.CVMs.Provision(t.Context(), request)
	require.NoError(t, err)
	device, err := kms.ParseDeviceID(answer.DeviceID)
	require.NoError(t, err)
	return device
}

func inJSON(text string) string {
	quoted, _ := json.Marshal(text)
	return strings.Trim(string(quoted), `"`)
}
