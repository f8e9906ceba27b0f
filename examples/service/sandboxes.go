// Package sandboxes is a small service as other projects have them: it gives each customer a confidential
// sandbox on Phala Cloud. It is here for its tests, which show how to test such a service without an account:
// sandboxes_test.go against phalatest, a whole cloud in the process, and mock_test.go against httpmock, for
// single answers.
package sandboxes

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
)

//go:embed docker-compose.yml
var dockerCompose string

// Service answers POST /sandboxes/{name} and GET /sandboxes/{name}.
type Service struct {
	cloud *client.Client
	trust []deploy.Option
}

// New makes the service. trust is what it accepts from the cloud: at least the root key of the KMS
// ([deploy.WithKMSRoot]) and where app ids come from ([deploy.WithTeamWallet]), both from a place that the cloud does
// not control.
func New(cloud *client.Client, trust ...deploy.Option) *Service {
	return &Service{cloud: cloud, trust: trust}
}

// ServeHTTP answers with JSON.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sandboxes/{name}", s.create)
	mux.HandleFunc("GET /sandboxes/{name}", s.status)
	mux.ServeHTTP(w, r)
}

func (s *Service) create(w http.ResponseWriter, r *http.Request) {
	result, err := s.start(r.Context(), r.PathValue("name"), r.FormValue("token"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"app_id": result.ID, "urls": result.Last.URLs})
}

// start deploys a sandbox whose secret only the sandbox can read.
func (s *Service) start(ctx context.Context, name, token string) (*deploy.App, error) {
	app, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return nil, err
	}
	spec := deploy.Spec{Name: name, Compose: app, Env: []compose.EnvVar{{Key: "TOKEN", Value: token}}}
	return deploy.Run(ctx, s.cloud, spec, s.trust...)
}

func (s *Service) status(w http.ResponseWriter, r *http.Request) {
	cvm, err := s.cloud.CVMs.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": cvm.Status})
}

// refuse tells the caller what matters to him, and nothing of the cloud's.
func refuse(w http.ResponseWriter, err error) {
	var mismatch *deploy.MismatchError
	var unverified *deploy.VerificationError
	switch {
	case errors.As(err, &mismatch), errors.As(err, &unverified):
		answer(w, http.StatusBadGateway, map[string]any{"error": "the cloud could not prove what it runs"})
	case errors.Is(err, client.ErrNotFound):
		answer(w, http.StatusNotFound, map[string]any{"error": "no such sandbox"})
	case errors.Is(err, client.ErrRateLimited), errors.Is(err, client.ErrServer):
		answer(w, http.StatusServiceUnavailable, map[string]any{"error": "try again later"})
	default:
		answer(w, http.StatusInternalServerError, map[string]any{"error": "internal error"})
	}
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
