package client

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

// Whatever operation answers 465 to 468, the failure has its kind, a 465 its payload, and nothing is repeated:
// a second arrival would prepare a second token.
func TestVendorCodes_OfEveryOperation(t *testing.T) {
	t.Parallel()
	const hash, app = "22", "ab"
	calls := map[string]func(context.Context, *Client) error{
		"CVMs.Create": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.Create(ctx, openapi.CreateCVMRequest{AppID: app, ComposeHash: hash})
			return err
		},
		"CVMs.CommitComposeUpdate": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.CommitComposeUpdate(ctx, "web-1", openapi.CommitComposeUpdateRequest{ComposeHash: hash})
			return err
		},
		"CVMs.SubmitComposeFile": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.SubmitComposeFile(ctx, "web-1", openapi.SubmitComposeFileRequest{ComposeHash: hash})
			return err
		},
		"CVMs.Replicate": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.Replicate(ctx, "web-1", nil, nil)
			return err
		},
		"CVMs.UpdatePreLaunchScript": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.UpdatePreLaunchScript(ctx, "web-1", "true", nil)
			return err
		},
		"CVMs.UpgradePreLaunch": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.UpgradePreLaunch(ctx, "web-1", nil)
			return err
		},
		"CVMs.UpdateEnvs": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.UpdateEnvs(ctx, "web-1", openapi.UpdateEnvsRequest{})
			return err
		},
		"CVMs.UpdateDockerCompose": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.UpdateDockerCompose(ctx, "web-1", "services: {}", nil)
			return err
		},
		"CVMs.RedeployRevision": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.RedeployRevision(ctx, "web-1", "7", nil)
			return err
		},
		"CVMs.Update": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.Update(ctx, "web-1", openapi.UpdateCVMRequest{}, nil)
			return err
		},
		"CVMs.UpdateOSImage": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.UpdateOSImage(ctx, "web-1", openapi.UpdateOSImageRequest{})
			return err
		},
		"CVMs.UpdateVisibility": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.UpdateVisibility(ctx, "web-1", openapi.UpdateVisibilityRequest{})
			return err
		},
		"CVMs.CommitUpdate": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.CommitUpdate(ctx, "web-1", nil, nil)
			return err
		},
		"CVMs.CommitReplica": func(ctx context.Context, c *Client) error {
			_, err := c.CVMs.CommitReplica(ctx, "web-1", nil, nil)
			return err
		},
		"Apps.Replicate": func(ctx context.Context, c *Client) error {
			_, err := c.Apps.Replicate(ctx, app, "uuid", nil, nil)
			return err
		},
		"Apps.CreateInstance": func(ctx context.Context, c *Client) error {
			_, err := c.Apps.CreateInstance(ctx, app, nil)
			return err
		},
		"Apps.RedeployRevision": func(ctx context.Context, c *Client) error {
			_, err := c.Apps.RedeployRevision(ctx, app, "7", nil, nil)
			return err
		},
		"POST /api/v1/cvms/web-1/new-operation": func(ctx context.Context, c *Client) error {
			return c.Do(ctx, "POST", "/cvms/web-1/new-operation", nil, nil)
		},
	}
	for status, kind := range map[int]error{
		465: ErrHashRegistrationRequired, 466: ErrHashInvalidOrExpired, 467: ErrTxVerificationFailed, 468: ErrHashNotAllowed,
	} {
		for name, call := range calls {
			sent := 0
			c := newTest(t, func(*http.Request) (*http.Response, error) {
				sent++
				return reply(status, `{"error_code":"ERR-01-005","message":"first the chain","details":[
					{"field":"compose_hash","value":"22"},{"field":"commit_token","value":"t0k"}]}`, "Retry-After", "0"), nil
			})
			err := call(t.Context(), c)
			require.ErrorIs(t, err, kind, name)
			var api *APIError
			require.ErrorAs(t, err, &api, name)
			assert.Equal(t, name, api.Operation)
			assert.Equal(t, status, api.StatusCode)
			assert.Equal(t, 1, sent, name)
			assert.NotContains(t, err.Error(), "t0k")
			var required *HashRegistrationRequired
			if !assert.Equal(t, status == 465, errors.As(err, &required), name) || status != 465 {
				continue
			}
			assert.Equal(t, "22", required.ComposeHash)
			assert.Equal(t, openapi.Secret("t0k"), required.CommitToken)
		}
	}
}
