package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/phala-go/phala/openapi"
)

// isPermanent reports failures that neither connecting anew nor asking again can mend.
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

// isAnswer reports failures that the API answered, from those of the way there or of the caller's context.
func isAnswer(err error) bool {
	var api *APIError
	return errors.As(err, &api)
}

// isMisconfigured reports failures that have nothing to do with the CVM that was asked for.
func isMisconfigured(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrNoAPIKey) || errors.Is(err, ErrRedirect) ||
		errors.Is(err, ErrRoute) || isFinalTransport(err)
}

// endOf is the error of a context that has ended, with its cause and the failure that was waited out.
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
