package deploy

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// RollbackSpec selects the document to return to.
type RollbackSpec struct {
	// ComposeHash is the hash of the document. The text comes from the [App], or from the cloud's revisions if it has
	// this hash.
	ComposeHash compose.Hash
	// CVM is the CVM to change: its vm_uuid, its name, or the app id; empty means the first one of the [App].
	CVM string
	// Env replaces all secrets; nil keeps them, if the document allows the same names. RemoveSecrets is as in
	// [UpdateSpec].
	Env           []compose.EnvVar
	RemoveSecrets []string
	// Devices and RetireOld are as in [UpdateSpec].
	Devices   []kms.DeviceID
	RetireOld bool
}

// Rollback makes a CVM run an earlier document again, which the caller pins by its hash. It is an [Update] with that
// document: on a chain the contract must allow the hash, and allows it again with [WithChain].
func Rollback(ctx context.Context, c *client.Client, app *App, spec RollbackSpec, opts ...Option) (*App, error) {
	f, err := begin(inChange, c, app, opts)
	if err != nil {
		return nil, fmt.Errorf("rollback: %w", err)
	}
	document, err := f.earlier(ctx, spec.ComposeHash)
	if err != nil {
		return nil, fmt.Errorf("rollback: %w", err)
	}
	back, err := compose.Parse([]byte(document))
	if err != nil {
		return nil, &InputError{Field: "rollback", Err: err}
	}
	if hash, err := back.Hash(); err != nil || !hash.Equal(spec.ComposeHash) {
		return nil, &InputError{Field: "rollback", Rule: fmt.Sprintf("the document of compose hash %s is not in canonical form, so that sending it makes another one (%s)", spec.ComposeHash, hash)}
	}
	return Update(ctx, c, app, UpdateSpec{
		CVM: spec.CVM, Compose: back, Env: spec.Env, RemoveSecrets: spec.RemoveSecrets, Devices: spec.Devices, RetireOld: spec.RetireOld,
	}, opts...)
}

// earlier returns the text of an earlier compose hash.
func (f *flow) earlier(ctx context.Context, hash compose.Hash) (string, error) {
	if hash == (compose.Hash{}) {
		return "", &InputError{Field: "RollbackSpec", Rule: "ComposeHash is required"}
	}
	if r, ok := f.app.revision(hash); ok {
		return r.Document, nil
	}
	for revision, err := range f.c.Apps.AllRevisions(ctx, f.app.ID.String(), nil) {
		if err != nil {
			return "", fmt.Errorf("the revisions of app %s: %w", f.app.ID, err)
		}
		if listed, err := compose.ParseHash(revision.ComposeHash); err != nil || !listed.Equal(hash) {
			continue
		}
		detail, err := f.c.Apps.GetRevision(ctx, f.app.ID.String(), revision.RevisionID, &openapi.AppsGetRevisionParams{RawComposeFile: openapi.Ptr(true)})
		if err != nil {
			return "", fmt.Errorf("revision %s of app %s: %w", cloudtext.Clean(revision.RevisionID), f.app.ID, err)
		}
		var text string
		if json.Unmarshal(detail.ComposeFile, &text) != nil {
			text = string(detail.ComposeFile)
		}
		if sum := compose.Sum([]byte(text)); sum.Equal(hash) {
			return text, nil
		}
	}
	return "", fmt.Errorf("compose hash %s: neither the App nor the cloud has the text of it; hand the document to Update: %w", hash, ErrUnknownDocument)
}
