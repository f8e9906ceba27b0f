package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
)

// errKilled is what a process sees that is killed while it saves.
var errKilled = errors.New("the process was killed")

// sentinels are the documented errors that have no type of their own.
var sentinels = []error{
	deploy.ErrNoKMSRoot, deploy.ErrNoAppID, deploy.ErrUnpredictable, deploy.ErrNotAllowed, deploy.ErrDeviceNotAccepted, deploy.ErrNotApproved,
	deploy.ErrExpired, deploy.ErrOtherSpec, deploy.ErrUnknownDocument, client.ErrNoAPIKey, client.ErrNoLog, client.ErrRoute, client.ErrFailedState,
	attest.ErrNotPossible,
}

// kindOf returns the documented type of an error, and whether it has one.
func kindOf(err error) (string, bool) {
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return fmt.Sprintf("%.50s", sentinel), true
		}
	}
	var chain *chainError
	switch {
	case is[*deploy.MismatchError](err):
		var mismatch *deploy.MismatchError
		errors.As(err, &mismatch)
		return "*deploy.MismatchError of " + mismatch.What, true
	case is[*deploy.AmbiguousError](err), is[*deploy.InputError](err), is[*deploy.BootError](err), is[*deploy.TimeoutError](err), is[*deploy.VerificationError](err), is[*deploy.SecretsError](err), is[*deploy.Pending](err), is[*attest.Error](err):
		return name(err), true
	case errors.As(err, &chain):
		return "the caller's chain", true
	case is[*client.APIError](err):
		var api *client.APIError
		errors.As(err, &api)
		return fmt.Sprintf("*client.APIError %d", api.StatusCode), true
	case is[*client.DecodeError](err):
		return "*client.DecodeError", true
	case errors.Is(err, context.Canceled):
		return "context.Canceled", true
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded", true
	case is[*client.TransportError](err):
		return "*client.TransportError", true
	case is[*client.WaitError](err):
		return "*client.WaitError", true
	}
	return "UNTYPED", false
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// name is the type of the first documented error in a chain of errors.
func name(err error) string {
	for _, try := range []func(error) (string, bool){
		named[*deploy.AmbiguousError], named[*deploy.InputError], named[*deploy.BootError], named[*deploy.TimeoutError], named[*deploy.VerificationError], named[*deploy.SecretsError], named[*deploy.Pending], named[*attest.Error],
	} {
		if text, ok := try(err); ok {
			return text
		}
	}
	return fmt.Sprintf("%T", err)
}

func named[T error](err error) (string, bool) {
	var target T
	return fmt.Sprintf("%T", target), errors.As(err, &target)
}
