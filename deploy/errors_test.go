package deploy_test

import (
	"context"
	"errors"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
)

// requireTyped fails if an error of a flow is of no documented type: an exported error type of this module, one of its
// sentinels, or a context's error.
func requireTyped(t testing.TB, err error) {
	t.Helper()
	require.True(t, isTyped(err), "of no documented type: %T %v", err, err)
}

func isTyped(err error) bool {
	if err == nil {
		return false
	}
	for _, sentinel := range sentinels() {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return anyError(err, func(err error) bool {
		of := reflect.TypeOf(err)
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		return strings.HasPrefix(of.PkgPath(), "github.com/phala-go/phala/") && !strings.Contains(of.PkgPath(), "/internal/") && token.IsExported(of.Name())
	})
}

// anyError reports whether is holds for an error of the tree.
func anyError(err error, is func(error) bool) bool {
	if is(err) {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return e.Unwrap() != nil && anyError(e.Unwrap(), is)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if anyError(one, is) {
				return true
			}
		}
	}
	return false
}

// sentinels are those that a flow can end in without an error type around them.
func sentinels() []error {
	return []error{
		context.Canceled, context.DeadlineExceeded, client.ErrNoAPIKey, client.ErrRoute,
		deploy.ErrNoKMSRoot, deploy.ErrNoAppID, deploy.ErrUnpredictable, deploy.ErrNotAllowed, deploy.ErrDeviceNotAccepted,
		deploy.ErrNotApproved, deploy.ErrExpired, deploy.ErrOtherSpec, deploy.ErrUnknownDocument, attest.ErrNotPossible, attest.ErrPolicy,
	}
}
