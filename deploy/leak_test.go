package deploy_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

const planted = "hunter2&planted/secret"

// forms are the ways in which a secret could be shown.
func forms() []string {
	return []string{
		planted, hex.EncodeToString([]byte(planted)), base64.StdEncoding.EncodeToString([]byte(planted)),
		base64.RawURLEncoding.EncodeToString([]byte(planted)), url.QueryEscape(planted), url.PathEscape(planted),
	}
}

// requireSilent formats a value in every way and looks for the secret.
func requireSilent(t *testing.T, value any) {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&b, verb+"\n", value)
	}
	if data, err := json.Marshal(value); err == nil {
		b.Write(data)
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "value", value)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "value", value)
	for _, form := range forms() {
		require.NotContains(t, b.String(), form, "%T", value)
	}
}

// exported are the exported types of the package, by its source.
func exported(t *testing.T) []string {
	t.Helper()
	var names []string
	files, err := fs.Glob(source, "*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(source, name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			if types, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range types.Specs {
					if one, ok := spec.(*ast.TypeSpec); ok && one.Name.IsExported() {
						names = append(names, one.Name.Name)
					}
				}
			}
		}
	}
	return names
}

// Whatever the package exports shows no secret, however it is formatted. A new type must be added to the values below.
func TestEverything_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		seen := map[string]bool{}
		look := func(value any) {
			name := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", value), "*"), "deploy.")
			seen[name] = true
			requireSilent(t, value)
		}
		env := []compose.EnvVar{{Key: "TOKEN", Value: planted}, {Key: "URL", Value: planted}}
		sp := spec(t)
		sp.Env = env
		look(sp)
		look(&sp)
		look(deploy.UpdateSpec{Env: env})
		look(deploy.ReplicaSpec{Env: env})
		look(deploy.InstanceSpec{Env: env})
		look(deploy.RollbackSpec{Env: env})
		progress := deploy.WithProgress(func(e deploy.Event) { look(e) })
		app, err := deploy.Run(t.Context(), c, sp, append(with.run, progress, deploy.WithCheckpoint(func(s *deploy.State) error {
			look(s)
			return nil
		}))...)
		require.NoError(t, err)
		look(app)
		look(app.Last)
		look(app.CVMs[0])
		look(app.OS)
		look(app.Last.Checks[0])
		look(progress)
		changes := append(with.change, progress, deploy.WithPending(func(p *deploy.Pending) error {
			look(p)
			look(p.Approval)
			return nil
		}))
		next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n", Env: env}, changes...)
		require.NoError(t, err)
		look(next.Revisions[0])
		status, err := deploy.PreLaunch(t.Context(), c, app)
		require.NoError(t, err)
		look(status)

		// Errors: of this side, and of a cloud that sends the secret back.
		sp.Env[0].Value = planted + "\n"
		_, err = deploy.Run(t.Context(), c, sp, with.run...)
		require.Error(t, err)
		requireSilent(t, err)
		s.Fault("CVMs.ProvisionComposeUpdate", phalatest.Fault{Status: http.StatusBadRequest, Body: `{"detail":"x"}`})
		_, err = deploy.Update(t.Context(), c, next, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\n", Env: env[1:], RemoveSecrets: []string{"TOKEN"}}, with.change...)
		require.Error(t, err)
		requireSilent(t, err)
		for _, err := range []error{
			&deploy.MismatchError{What: "a"}, &deploy.BootError{}, &deploy.TimeoutError{}, &deploy.VerificationError{Err: err}, &deploy.SecretsError{}, &deploy.FindingsError{},
		} {
			look(err)
		}

		// Types that hold no text of a caller's secret, or that a flow above does not make.
		for _, name := range []string{
			"Chain", "Event", "NodeID", "TeepodID", "OS", "ContractSpec", "Phase", "PendingKind", "Outcome", "RegisteredEvent", "RetiredEvent", "RetireSpec",
		} {
			seen[name] = true
		}
		for _, name := range exported(t) {
			assert.True(t, seen[name], "%s is not among the values that this test formats", name)
		}
	})
}
