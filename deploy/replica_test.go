package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
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
	"github.com/phala-go/phala/phalatest"
)

func TestReplicate_MakesOneMoreCVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		app, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, with.change...)
		require.NoError(t, err)
		require.Len(t, app.CVMs, 2)
		assert.Equal(t, first.CVMs[0], app.CVMs[0])
		assert.NotEqual(t, first.CVMs[0].ID, last(app).ID)
		assert.Equal(t, app.Last.CVM.VMUUID, last(app).ID)
		assert.EqualValues(t, "running", app.Last.CVM.Status)
		assert.Equal(t, first.ComposeHash, last(app).ComposeHash)
		assert.True(t, app.Last.Report.Verified)
		requireEnv(t, s, last(app).ID, secrets())
		assert.Len(t, first.CVMs, 1, "the anchor from before stays")
	})
}

func TestAddInstance_MakesOneMoreCVMWithSecretsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		other := []compose.EnvVar{{Key: "TOKEN", Value: "a"}, {Key: "URL", Value: "b"}}
		app, err := deploy.AddInstance(t.Context(), c, first, deploy.InstanceSpec{Name: "web-2", Env: other}, with.change...)
		require.NoError(t, err)
		requireEnv(t, s, last(app).ID, other)
		requireEnv(t, s, first.CVMs[0].ID, secrets())
		assert.Equal(t, "web-2", last(app).Name)
		assert.Len(t, instances(t, c, first), 2)

		app, err = deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{}, with.change...)
		require.NoError(t, err)
		assert.Len(t, app.CVMs, 3)
		assert.Equal(t, first.ComposeHash, last(app).ComposeHash)
	})
}

// One more CVM runs a document that the anchor has, and never another one.
func TestReplicate_RunsOnlyADocumentOfTheAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		two, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, with.change...)
		require.NoError(t, err)
		next, err := deploy.Update(t.Context(), c, two, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
		require.NoError(t, err)
		app, err := deploy.Replicate(t.Context(), c, next, deploy.ReplicaSpec{CVM: first.CVMs[0].ID, ComposeHash: first.ComposeHash}, with.change...)
		require.NoError(t, err, "the second CVM still runs it")
		assert.Equal(t, first.ComposeHash, last(app).ComposeHash)
		assert.Equal(t, next.ComposeHash, app.ComposeHash, "the document of the app stays the newer one")

		sent := len(s.Requests())
		for _, err := range []error{
			second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{ComposeHash: compose.Hash{1}}, with.change...)),
			second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{ComposeHash: compose.Hash{1}}, with.change...)),
		} {
			require.ErrorIs(t, err, deploy.ErrUnknownDocument)
		}
		assert.NotContains(t, operations(s)[sent:], "CVMs.Replicate")
		assert.NotContains(t, operations(s)[sent:], "Apps.CreateInstance")
	})
}

func TestReplicate_RefusesABadSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		unchecked := *app
		unchecked.KMSRoot = [33]byte{}
		none := *app
		none.CVMs = nil
		foreign := []compose.EnvVar{{Key: "OTHER"}}
		for want, err := range map[string]error{
			"it has no app id":                  second(deploy.Replicate(t.Context(), c, &deploy.App{}, deploy.ReplicaSpec{}, with.change...)),
			"app: it has no app id":             second(deploy.AddInstance(t.Context(), c, nil, deploy.InstanceSpec{}, with.change...)),
			"it has no CVM; name one":           second(deploy.Replicate(t.Context(), c, &none, deploy.ReplicaSpec{}, with.change...)),
			"NodeID is -1":                      second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{NodeID: -1}, with.change...)),
			"TeepodID is -1":                    second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{TeepodID: -1}, with.change...)),
			"both select a node":                second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{NodeID: 1, TeepodID: 1}, with.change...)),
			"secrets need a checked key":        second(deploy.Replicate(t.Context(), c, &unchecked, deploy.ReplicaSpec{Env: secrets()})),
			"secrets: OTHER: the allowed_envs":  second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{Env: foreign}, with.change...)),
			"secrets: OTHER: the allowed_envs ": second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{Env: foreign}, with.change...)),
			`name "web"`:                        second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{Name: "web"}, with.change...)),
		} {
			require.ErrorContains(t, err, want)
		}
		assert.NotContains(t, operations(s), "CVMs.Replicate")
		assert.NotContains(t, operations(s), "Apps.CreateInstance")
	})
}

// A lost answer, a lost request, and a crash after either, all end with exactly one more CVM.
func TestReplicate_MakesOneCVMWhateverIsLost(t *testing.T) {
	for name, fault := range map[string]phalatest.Fault{
		"lost answer":            {LoseResponse: true},
		"lost request":           {LoseRequest: true},
		"failure after the work": {Status: http.StatusBadGateway, Body: "<html>"},
	} {
		for kind, ask := range creations() {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, c, with := cloud(t)
					first := running(t, c, with)
					var asked *deploy.Pending // what a process that was killed while it asked has left
					keep := deploy.WithPending(func(p *deploy.Pending) error {
						if p.Asked && asked == nil {
							asked = handOver(t, p)
						}
						return nil
					})
					s.Fault(ask.operation, fault)
					app, err := ask.flow(t, c, first, append(with.change, keep)...)
					if fault.LoseResponse {
						require.NoError(t, err)
					} else {
						require.Error(t, err, "it is not sent a second time by itself")
					}
					again, err := deploy.Finish(t.Context(), c, asked, with.change...)
					require.NoError(t, err)
					if app != nil {
						assert.Equal(t, app.CVMs, again.CVMs)
					}
					assert.Len(t, instances(t, c, first), 2)
				})
			})
		}
	}
}

// A CVM that somebody else added while a replica was under way is not taken for the replica.
func TestFinish_TakesNoStrangerForTheReplica(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	first := running(t, x.c, x.with)
	p, err := deploy.PrepareReplica(t.Context(), x.c, first, deploy.ReplicaSpec{}, x.with.prepare...)
	require.NoError(t, err)
	stranger, err := deploy.Replicate(t.Context(), x.c, first, deploy.ReplicaSpec{}, x.with.change...)
	require.NoError(t, err)
	done, err := deploy.Finish(t.Context(), x.c, handOver(t, p), x.with.change...)
	require.NoError(t, err)
	assert.NotEqual(t, last(stranger).ID, last(done).ID)
	assert.Len(t, instances(t, x.c, first), 3)
}

// If several CVMs have come since, nobody can tell which one it is. The caller can.
func TestFinish_ReturnsAnErrorIfSeveralCVMsAreNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		var asked *deploy.Pending
		keep := deploy.WithPending(func(p *deploy.Pending) error {
			if p.Asked && asked == nil {
				asked = handOver(t, p)
			}
			return nil
		})
		var app *deploy.App
		for range 2 {
			c, err := s.Client() // as another process would
			require.NoError(t, err)
			app, err = deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, append(with.change, keep)...)
			require.NoError(t, err)
		}
		_, err := deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		var ambiguous *deploy.AmbiguousError
		require.ErrorAs(t, err, &ambiguous)
		assert.Len(t, ambiguous.CVMs, 2)
		assert.Contains(t, ambiguous.CVMs, last(app).ID)
		assert.Len(t, instances(t, c, first), 3)

		require.ErrorContains(t, asked.Resolve(first.CVMs[0].ID), "it was there before")
		require.NoError(t, asked.Resolve("0b8e3c30-5f0c-4d43-8a08-d7f0e2e4d1aa"), "a wrong one")
		_, err = deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		require.ErrorIs(t, err, client.ErrNotFound)
		require.NoError(t, asked.Resolve(last(app).ID))
		done, err := deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		require.NoError(t, err)
		assert.Equal(t, app.CVMs, done.CVMs)

		require.NoError(t, asked.Resolve(""), "none of them")
		done, err = deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		require.NoError(t, err)
		assert.Len(t, instances(t, c, first), 4)
		require.ErrorContains(t, done.Last.Pending.Resolve(last(app).ID), "nothing to resolve")
	})
}

// creation is a flow that makes one more CVM, and the operation of the API that it asks once.
type creation struct {
	operation, path string
	flow            func(t testing.TB, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error)
}

func creations() map[string]creation {
	return map[string]creation{
		"replica": {"CVMs.Replicate", "/replicas", func(t testing.TB, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error) {
			return deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, opts...)
		}},
		"instance": {"Apps.CreateInstance", "/instances", func(t testing.TB, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error) {
			return deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{}, opts...)
		}},
	}
}

func TestReplicate_CloudPassesAnotherCVMOff(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(*phalatest.Server, *deploy.App){
		"the answer names the first CVM": func(s *phalatest.Server, app *deploy.App) {
			s.TamperResponse("CVMs.Replicate", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m["vm_uuid"] = app.CVMs[0].ID })
			})
		},
		"the CVM is described as the first one": func(s *phalatest.Server, app *deploy.App) {
			s.TamperResponse("CVMs.Get", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m["vm_uuid"] = app.CVMs[0].ID })
			})
		},
		"the evidence is that of the first one": func(s *phalatest.Server, _ *deploy.App) {
			s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) {
					instances, _ := m["instances"].([]any)
					for i := 1; i < len(instances); i++ {
						first, other := instances[0].(map[string]any), instances[i].(map[string]any)
						copied := maps.Clone(first)
						copied["vm_uuid"] = other["vm_uuid"]
						instances[i] = copied
					}
				})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				app := running(t, c, with)
				require.NotEmpty(t, app.CVMs[0].InstanceID)
				tamper(s, app)
				_, err := deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, with.change...)
				require.Error(t, err)
			})
		})
	}
}

// badNetwork is a network and a cloud with faults: before the work, after it, and work that is done later than the
// client thinks.
type badNetwork struct {
	next    http.RoundTripper
	running sync.WaitGroup // what is done later

	mu     sync.Mutex
	random *rand.Rand
	faults float64 // part of the requests that meet a fault
	// once are the faults of the next POST, by the end of its path; refuseFrom is the number of the request from which
	// on the key is refused, 0 for none.
	once              map[string]badFault
	refuseFrom, calls int
	late              *lateWork
}

// lateWork has the work of requests of a method done later, while the client gets no answer.
type lateWork struct {
	method string
	delay  time.Duration
	done   bool
}

// badFault is a fault of badNetwork.
type badFault int

const (
	noFault badFault = iota
	refusedBefore
	keyRefused
	busyBefore
	cutBefore
	cutAfter
	failedAfter
	tornAfter
	slow
	workLater
	badFaults // how many there are
)

var errCut = errors.New("connection reset by the test")

func newBadNetwork(next http.RoundTripper, seed uint64, faults float64) *badNetwork {
	return &badNetwork{next: next, random: rand.New(rand.NewPCG(seed, 0)), faults: faults}
}

// client returns a client behind the network.
func (n *badNetwork) client(t testing.TB, s *phalatest.Server) *client.Client {
	t.Helper()
	c, err := client.New(client.WithAPIKey(s.APIKey), client.WithBaseURL("https://phala.test/api/v1"), client.WithHTTPClient(&http.Client{Transport: n}))
	require.NoError(t, err)
	return c
}

func (n *badNetwork) draw(req *http.Request) (badFault, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.calls++; n.refuseFrom > 0 && n.calls >= n.refuseFrom {
		return keyRefused, 0
	}
	for path, fault := range n.once {
		if strings.HasSuffix(req.URL.Path, path) && req.Method == http.MethodPost {
			delete(n.once, path)
			return fault, 70 * time.Second
		}
	}
	if n.random.Float64() >= n.faults {
		return noFault, 0
	}
	return badFault(1 + n.random.IntN(int(badFaults)-1)), time.Duration(n.random.IntN(150)) * time.Second
}

func (n *badNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	if n.late != nil && req.Method == n.late.method {
		if !n.late.done {
			n.late.done = true
			n.later(req, n.late.delay)
		}
		return nil, errCut
	}
	fault, delay := n.draw(req)
	switch fault {
	case refusedBefore:
		return n.answer(req, http.StatusBadGateway, "<html>bad gateway")
	case keyRefused:
		return n.answer(req, http.StatusUnauthorized, `{"detail":"API key has expired"}`)
	case busyBefore:
		return n.answer(req, http.StatusTooManyRequests, `{"detail":"slow down"}`)
	case cutBefore:
		return nil, errCut
	case slow:
		select {
		case <-time.After(delay / 3):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	case workLater:
		if req.Method == http.MethodPost {
			n.later(req, delay)
		}
		return nil, errCut
	}
	resp, err := n.next.RoundTrip(req)
	if err != nil || fault < cutAfter || fault > tornAfter || req.Header.Get("Accept") == "text/event-stream" {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case fault == cutAfter:
		return nil, errCut
	case fault == failedAfter:
		return n.answer(req, http.StatusServiceUnavailable, `{"detail":"try again"}`)
	}
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), failing{}))
	return resp, nil
}

// failing is the rest of a body that breaks.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// answer is a failure that asks to be repeated, as proxies do.
func (n *badNetwork) answer(req *http.Request, status int, body string) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}, "Retry-After": {"1"}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// later does the work of a request although its client is gone.
func (n *badNetwork) later(req *http.Request, delay time.Duration) {
	body, _ := io.ReadAll(req.Body)
	again := req.Clone(context.WithoutCancel(req.Context()))
	again.Body = io.NopCloser(bytes.NewReader(body))
	n.running.Go(func() {
		time.Sleep(delay)
		if resp, err := n.next.RoundTrip(again); err == nil {
			_ = resp.Body.Close()
		}
	})
}

// Two flows at once that make CVMs of one app, under random faults, end each with a CVM of its own: with its own
// secrets, and with no third CVM. A flow that ends in an error goes on from what it saved.
func TestReplicate_PairsNeverTakeEachOthersCVM(t *testing.T) {
	t.Parallel()
	const parts = 4
	for part := range uint64(parts) {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for seed := part * pairs / parts; seed < (part+1)*pairs/parts; seed++ {
				synctest.Test(t, func(t *testing.T) { runPair(t, seed) })
			}
		})
	}
}

func runPair(t *testing.T, seed uint64) {
	s, c, with := cloud(t)
	opts := with.change[:1:1]
	opts = append(opts, deploy.SkipVerification())
	first, err := deploy.Run(t.Context(), c, spec(t), append(with.run[:2:2], deploy.SkipVerification())...)
	require.NoError(t, err)
	network := newBadNetwork(s.Transport(), seed, 0.29)
	bad := network.client(t, s)
	var made [2]deploy.CVM
	var wait sync.WaitGroup
	for i := range made {
		wait.Go(func() { made[i] = oneMore(t, bad, first, seed, i, opts) })
	}
	wait.Wait()
	network.running.Wait()
	assert.Len(t, instances(t, c, first), 3, "seed %d", seed)
	assert.NotEqual(t, made[0].ID, made[1].ID, "seed %d", seed)
	for i, cvm := range made {
		if assert.NotEmpty(t, cvm.ID, "seed %d: flow %d did not end", seed, i) {
			requireEnv(t, s, cvm.ID, ownSecrets(i))
		}
	}
}

func ownSecrets(i int) []compose.EnvVar {
	return []compose.EnvVar{{Key: "TOKEN", Value: fmt.Sprint("of flow ", i)}, {Key: "URL", Value: "postgres://db"}}
}

// oneMore makes a CVM, and goes on from what was saved until it is made.
func oneMore(t *testing.T, c *client.Client, first *deploy.App, seed uint64, i int, opts []deploy.Option) deploy.CVM {
	var saved *deploy.Pending
	opts = append(slices.Clone(opts), deploy.WithPending(func(p *deploy.Pending) error { saved = handOver(t, p); return nil }))
	var last error
	for range 40 {
		var app *deploy.App
		switch {
		case saved != nil:
			app, last = deploy.Finish(t.Context(), c, handOver(t, saved), opts...)
		case (seed+uint64(i))%2 == 0:
			app, last = deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{Env: ownSecrets(i)}, opts...)
		default:
			app, last = deploy.AddInstance(t.Context(), c, first, deploy.InstanceSpec{Env: ownSecrets(i)}, opts...)
		}
		if last == nil {
			return app.CVMs[len(app.CVMs)-1]
		}
		requireTyped(t, last)
		time.Sleep(time.Second)
	}
	t.Errorf("seed %d: flow %d ends in %v", seed, i, last)
	return deploy.CVM{}
}

// The work of a request may be done long after its client has given up: what comes 70 s later is taken, and no second
// CVM is made.
func TestReplicate_TakesWhatIsMadeAfterTheAnswerWasLost(t *testing.T) {
	for kind, ask := range creations() {
		for name, fault := range map[string]badFault{"after 70 s": workLater, "503 with Retry-After after the work": failedAfter, "half an answer": tornAfter} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, c, with := cloud(t)
					first := running(t, c, with)
					network := newBadNetwork(s.Transport(), 1, 0)
					network.once = map[string]badFault{ask.path: fault}
					app, err := ask.flow(t, network.client(t, s), first, with.change...)
					require.NoError(t, err)
					network.running.Wait()
					assert.Len(t, instances(t, c, first), 2)
					assert.Len(t, app.CVMs, 2)
				})
			})
		}
	}
}

// Two clients know nothing of each other. Names, nodes and compose hashes tell their CVMs apart.
func TestAddInstance_TellsCVMsOfTwoClientsApartByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		network := newBadNetwork(s.Transport(), 1, 0)
		network.once = map[string]badFault{"/instances": workLater}
		var mine *deploy.App
		var err error
		var wait sync.WaitGroup
		wait.Go(func() {
			mine, err = deploy.AddInstance(t.Context(), network.client(t, s), first, deploy.InstanceSpec{Name: "web-mine", Env: ownSecrets(1)}, with.change...)
		})
		time.Sleep(time.Second)
		other, otherErr := deploy.AddInstance(t.Context(), c, first, deploy.InstanceSpec{Name: "web-other", Env: ownSecrets(2)}, with.change...)
		require.NoError(t, otherErr)
		wait.Wait()
		require.NoError(t, err)
		assert.Equal(t, "web-mine", last(mine).Name)
		assert.Equal(t, "web-other", last(other).Name)
		requireEnv(t, s, last(mine).ID, ownSecrets(1))
		assert.Len(t, instances(t, c, first), 3)
	})
}

// If a name is all that tells CVMs apart and the one that is new has another, nobody takes it and nothing is asked again.
func TestAddInstance_TakesNoCVMOfAnotherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		network := newBadNetwork(s.Transport(), 1, 0)
		network.once = map[string]badFault{"/instances": cutBefore}
		var saved *deploy.Pending
		keep := deploy.WithPending(func(p *deploy.Pending) error { saved = handOver(t, p); return nil })
		var err error
		var wait sync.WaitGroup
		wait.Go(func() {
			_, err = deploy.AddInstance(t.Context(), network.client(t, s), first, deploy.InstanceSpec{Name: "web-mine"}, append(with.change, keep)...)
		})
		time.Sleep(time.Second)
		other, otherErr := deploy.AddInstance(t.Context(), c, first, deploy.InstanceSpec{Name: "web-other"}, with.change...)
		require.NoError(t, otherErr)
		wait.Wait()
		var ambiguous *deploy.AmbiguousError
		require.ErrorAs(t, err, &ambiguous)
		assert.Equal(t, []string{last(other).ID}, ambiguous.CVMs)
		require.NoError(t, saved.Resolve(""))
		mine, err := deploy.Finish(t.Context(), c, saved, with.change...)
		require.NoError(t, err)
		assert.Equal(t, "web-mine", last(mine).Name)
		assert.Len(t, instances(t, c, first), 3)
	})
}

// A key that is refused at any call leaves a state that is finished with a good one.
func TestFlows_GoOnAfterARefusedKeyAtEachCall(t *testing.T) {
	flows := map[string]func(*testing.T, *client.Client, *deploy.App, ...deploy.Option) (*deploy.App, error){
		"update": func(t *testing.T, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error) {
			return deploy.Update(t.Context(), c, app, deploy.UpdateSpec{DockerCompose: urlOnly, Env: urlSecret(), RemoveSecrets: []string{"TOKEN"}, VCPU: 2}, opts...)
		},
	}
	for kind, ask := range creations() {
		flows[kind] = func(t *testing.T, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error) {
			return ask.flow(t, c, app, opts...)
		}
	}
	for kind, flow := range flows {
		t.Run(kind, func(t *testing.T) {
			for call, ended := 1, false; !ended; call++ {
				synctest.Test(t, func(t *testing.T) { ended = refusedAt(t, flow, call) })
			}
		})
	}
}

// refusedAt runs a flow whose key is refused from the call of a number on, and then with a good one. It reports whether
// the flow ends before that call.
func refusedAt(t *testing.T, flow func(*testing.T, *client.Client, *deploy.App, ...deploy.Option) (*deploy.App, error), call int) bool {
	s, c, with := cloud(t)
	first := running(t, c, with)
	network := newBadNetwork(s.Transport(), 1, 0)
	network.refuseFrom = call
	var saved *deploy.Pending
	keep := deploy.WithPending(func(p *deploy.Pending) error { saved = handOver(t, p); return nil })
	app, err := flow(t, network.client(t, s), first, append(with.change, keep)...)
	if err == nil && network.calls < call {
		return true
	}
	if err != nil {
		require.ErrorIs(t, err, client.ErrUnauthorized, "call %d", call)
		requireTyped(t, err)
		if saved != nil {
			app, err = deploy.Finish(t.Context(), c, saved, with.change...)
		} else {
			app, err = flow(t, c, first, with.change...)
		}
		require.NoError(t, err, "call %d", call)
	}
	cvms := instances(t, c, first)
	require.Len(t, cvms, len(app.CVMs), "call %d", call)
	assert.Equal(t, last(app).ComposeHash.String(), cvms[len(cvms)-1].ComposeHash)
	if len(cvms) == 1 {
		requireEnv(t, s, last(app).ID, urlSecret())
	}
	return false
}

// An old update whose answer was lost lands after a newer one has ended. The next flow finds out that something else runs
// than the anchor has, and changes nothing.
func TestUpdate_LateOldUpdateIsCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		network := newBadNetwork(s.Transport(), 1, 0)
		defer network.running.Wait()
		network.late = &lateWork{method: http.MethodPatch, delay: time.Hour}
		_, err := deploy.Update(t.Context(), network.client(t, s), first, script("old"), with.change...)
		var lost *client.TransportError
		require.ErrorAs(t, err, &lost)
		require.True(t, network.late.done, "the commit of the old one is under way")
		newer, err := deploy.Update(t.Context(), c, first, script("newer"), with.change...)
		require.NoError(t, err)
		network.running.Wait()
		require.NoError(t, c.CVMs.WaitFor(t.Context(), newer.CVMs[0].ID, "running"))
		sent := len(s.Requests())
		_, err = deploy.Update(t.Context(), c, newer, script("newest"), with.change...)
		requireMismatch(t, err, deploy.ComparedComposeHash)
		for _, operation := range operations(s)[sent:] {
			assert.NotContains(t, operation, "Commit")
		}
	})
}
