package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/phala-go/phala/openapi"
)

// isPermanent reports whether neither a new connection nor a repetition can succeed.
func isPermanent(err error) bool {
	var api *APIError
	if errors.As(err, &api) {
		switch api.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return false
		case http.StatusConflict:
			// A 409 with a code is final, such as a name that two CVMs have.
			return api.Code != ""
		}
		return api.StatusCode < 500
	}
	return errors.Is(err, ErrDecode) && !errors.Is(err, errEvent) || errors.Is(err, errNoStream) ||
		isMisconfigured(err) || errors.Is(err, openapi.ErrPathParam)
}

// isAnswer reports whether a failure is a response of the API, and not a transport failure or the end of the caller's
// context.
func isAnswer(err error) bool {
	var api *APIError
	return errors.As(err, &api)
}

// isMisconfigured reports whether a failure has nothing to do with the requested CVM.
func isMisconfigured(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrNoAPIKey) || errors.Is(err, ErrRedirect) ||
		errors.Is(err, ErrRoute) || isFinalTransport(err)
}

// endOf returns the error of a context that has ended, with its cause and the last failure.
func endOf(ctx context.Context, failure error) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); errors.Is(cause, err) {
		err = cause
	} else {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if failure != nil {
		return fmt.Errorf("%w, after: %w", err, failure)
	}
	return err
}
