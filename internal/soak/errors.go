package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
)

// errKilled is the error of a save during which the process is killed.
var errKilled = errors.New("the process was killed")

// documented recognises the documented errors, the most specific first.
var documented = []func(error) (kind string, ok bool){
	sentinel(deploy.ErrNoKMSRoot), sentinel(deploy.ErrNoAppID), sentinel(deploy.ErrUnpredictable), sentinel(deploy.ErrNotAllowed),
	sentinel(deploy.ErrDeviceNotAccepted), sentinel(deploy.ErrNotApproved), sentinel(deploy.ErrExpired), sentinel(deploy.ErrOtherSpec),
	sentinel(deploy.ErrUnknownDocument), sentinel(client.ErrNoAPIKey), sentinel(client.ErrNoLog), sentinel(client.ErrRoute),
	sentinel(client.ErrFailedState), sentinel(attest.ErrNotPossible),
	typed(func(e *deploy.MismatchError) any { return "of " + e.What }),
	typed[*deploy.AmbiguousError](nil), typed[*deploy.InputError](nil), typed[*deploy.BootError](nil), typed[*deploy.TimeoutError](nil),
	typed[*deploy.VerificationError](nil), typed[*deploy.SecretsError](nil), typed[*deploy.Pending](nil), typed[*attest.Error](nil),
	func(err error) (string, bool) { return "the caller's chain", errors.As(err, new(*chainError)) },
	typed(func(e *client.APIError) any { return e.StatusCode }),
	typed[*client.DecodeError](nil),
	sentinel(context.Canceled), sentinel(context.DeadlineExceeded),
	typed[*client.TransportError](nil), typed[*client.WaitError](nil),
}

// kindOf returns the documented kind of an error, and whether it has one.
func kindOf(err error) (kind string, ok bool) {
	for _, recognise := range documented {
		if kind, ok := recognise(err); ok {
			return kind, true
		}
	}
	return "UNDOCUMENTED", false
}

func sentinel(target error) func(error) (string, bool) {
	return func(err error) (string, bool) { return fmt.Sprintf("%.50s", target), errors.Is(err, target) }
}

// typed recognises errors of a type; detail may be nil.
func typed[T error](detail func(T) any) func(error) (string, bool) {
	return func(err error) (string, bool) {
		var target T
		switch {
		case !errors.As(err, &target):
			return "", false
		case detail == nil:
			return fmt.Sprintf("%T", target), true
		}
		return fmt.Sprintf("%T %v", target, detail(target)), true
	}
}
