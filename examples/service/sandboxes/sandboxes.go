// Package sandboxes is a small service as other projects have them: each customer gets a confidential sandbox on Phala Cloud.
// Its tests show how to test such a service without an account: sandboxes_test.go against phalatest, a whole cloud in the
// process, and mock_test.go against httpmock, for single answers.
package sandboxes

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
)

//go:embed docker-compose.yml
var dockerCompose string

// Service answers these requests:
//
//	POST   /sandboxes/{name}  deploys a sandbox with the form value token as its secret: 202, the work goes on
//	GET    /sandboxes/{name}  its state: deploying, running or failed
//	DELETE /sandboxes/{name}  deletes it: 204
type Service struct {
	cloud *client.Client
	kept  *kept
	work  *work
	trust []deploy.Option
	log   *slog.Logger
	mux   *http.ServeMux
}

// New returns a service that keeps its state in dir. trust is what it accepts from the cloud: at least the root key of the KMS
// ([deploy.WithKMSRoot]) and where app ids come from ([deploy.WithTeamWallet]), both from a place that the cloud does not
// control. Deployments that an earlier process did not finish go on. Call Close at the end.
func New(cloud *client.Client, dir string, log *slog.Logger, trust ...deploy.Option) (*Service, error) {
	kept, err := open(dir)
	if err != nil {
		return nil, err
	}
	s := &Service{cloud: cloud, kept: kept, work: newWork(), trust: trust, log: log, mux: http.NewServeMux()}
	s.mux.HandleFunc("POST /sandboxes/{name}", s.create)
	s.mux.HandleFunc("GET /sandboxes/{name}", s.status)
	s.mux.HandleFunc("DELETE /sandboxes/{name}", s.remove)
	unfinished, err := kept.unfinished()
	if err != nil {
		return nil, err
	}
	for _, name := range unfinished {
		s.work.start(name, func(ctx context.Context) { s.deploy(ctx, name, "") })
	}
	return s, nil
}

// ServeHTTP answers with JSON.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close stops the work and waits for it. What was not finished goes on when the next process opens the same folder.
func (s *Service) Close() { s.work.close() }

// create takes the order and answers. The deployment does not end with the request: it takes minutes, and a customer who
// closes the browser has ordered it all the same.
func (s *Service) create(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := compose.ValidateName(name); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	token := r.FormValue("token")
	if token == "" || compose.CheckGuestValue(compose.EnvVar{Key: "TOKEN", Value: token}) != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "token: missing, or a value that a sandbox cannot carry"})
		return
	}
	if app, err := s.kept.app(name); err != nil || app != nil {
		conflict(w, err)
		return
	}
	if !s.work.start(name, func(ctx context.Context) { s.deploy(ctx, name, token) }) {
		conflict(w, nil)
		return
	}
	w.Header().Set("Location", "/sandboxes/"+name)
	answer(w, http.StatusAccepted, map[string]any{"state": "deploying"})
}

func conflict(w http.ResponseWriter, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusConflict, map[string]any{"error": "a sandbox of that name exists"})
}

// deploy deploys a sandbox whose secret only the sandbox can read, or goes on with its deployment. A token is needed until
// it is encrypted; after that it is in the kept state, as ciphertext.
func (s *Service) deploy(ctx context.Context, name, token string) {
	err := s.run(ctx, name, token)
	switch {
	case ctx.Err() != nil:
		return // the state is kept, so the next process goes on
	case err != nil:
		s.log.Error("the deployment failed", "sandbox", name, "error", err)
	}
	if err := s.kept.outcome(name, err); err != nil {
		s.log.Error("the outcome cannot be kept", "sandbox", name, "error", err)
	}
}

func (s *Service) run(ctx context.Context, name, token string) error {
	doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return err
	}
	state, err := s.kept.state(name)
	if err != nil {
		return err
	}
	spec := deploy.Spec{Name: name, Compose: doc, Env: []compose.EnvVar{{Key: "TOKEN", Value: token}}}
	save := deploy.WithCheckpoint(func(st *deploy.State) error { return s.kept.saveState(name, st) })
	app, err := deploy.Resume(ctx, s.cloud, spec, state, slices.Concat(s.trust, []deploy.Option{save})...)
	if err != nil {
		return err
	}
	return s.kept.saveApp(name, app)
}

func (s *Service) status(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := compose.ValidateName(name); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	if s.work.busy(name) {
		answer(w, http.StatusOK, map[string]any{"state": "deploying"})
		return
	}
	if why := s.kept.failure(name); why != "" {
		answer(w, http.StatusOK, map[string]any{"state": "failed", "error": why})
		return
	}
	app, err := s.kept.app(name)
	if err != nil {
		refuse(w, err)
		return
	}
	if app == nil {
		refuse(w, client.ErrNotFound)
		return
	}
	cvm, err := s.cloud.CVMs.Get(r.Context(), app.CVMs[0].ID)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"state": cvm.Status, "app_id": app.ID, "compose_hash": app.ComposeHash})
}

// remove deletes the CVM, and then what is kept of it. It may be repeated.
func (s *Service) remove(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := compose.ValidateName(name); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	if s.work.busy(name) {
		answer(w, http.StatusConflict, map[string]any{"error": "the sandbox is being deployed"})
		return
	}
	for _, id := range s.kept.cvms(name) {
		if err := s.cloud.CVMs.Delete(r.Context(), id); err != nil && !errors.Is(err, client.ErrNotFound) {
			refuse(w, err)
			return
		}
	}
	if err := s.kept.remove(name); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// explain is what the customer is told, and nothing of the cloud's.
func explain(err error) (string, int) {
	var mismatch *deploy.MismatchError
	var unverified *deploy.VerificationError
	switch {
	case errors.As(err, &mismatch), errors.As(err, &unverified):
		return "the cloud could not prove what it runs", http.StatusBadGateway
	case errors.Is(err, client.ErrNotFound):
		return "no such sandbox", http.StatusNotFound
	case errors.Is(err, client.ErrRateLimited), errors.Is(err, client.ErrServer):
		return "try again later", http.StatusServiceUnavailable
	}
	return "internal error", http.StatusInternalServerError
}

func refuse(w http.ResponseWriter, err error) {
	text, status := explain(err)
	answer(w, status, map[string]any{"error": text})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
