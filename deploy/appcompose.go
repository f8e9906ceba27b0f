package deploy

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// appCompose is the app-compose of a CVM. exact says that its text has the CVM's compose hash, so that the
// hash after a change can be predicted from it; otherwise it is what the API says of the document.
func appCompose(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail) (app *compose.App, exact bool, err error) {
	hash, err := compose.ParseHash(cvm.ComposeHash)
	if err != nil {
		return nil, false, fmt.Errorf("the compose hash of cvm %s: %w", cvm.Name, err)
	}
	described, err := c.CVMs.GetComposeFile(ctx, handle(cvm), nil)
	if err != nil {
		return nil, false, fmt.Errorf("the app-compose of cvm %s: %w", cvm.Name, err)
	}
	for _, text := range []func() []byte{
		func() []byte { return described },
		func() []byte { return rawText(ctx, c, cvm) },
		func() []byte { return attestedText(ctx, c, cvm) },
	} {
		doc := text()
		if compose.Sum(doc) != hash {
			continue
		}
		if app, err := compose.Parse(doc); err == nil {
			return app, true, nil
		}
	}
	app, err = compose.Parse(described)
	if err != nil {
		return nil, false, fmt.Errorf("the app-compose of cvm %s: %w", cvm.Name, err)
	}
	return app, false, nil
}

// rawText is the stored text, which comes as it is or within a JSON string.
func rawText(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail) []byte {
	raw, err := c.CVMs.GetComposeFile(ctx, handle(cvm), &openapi.CVMsGetComposeFileParams{Raw: openapi.Ptr("true")})
	var text string
	if err == nil && json.Unmarshal(raw, &text) == nil {
		return []byte(text)
	}
	return raw
}

// attestedText is the text that the attestation shows.
func attestedText(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail) []byte {
	attestation, err := c.CVMs.GetAttestation(ctx, handle(cvm))
	if err != nil || attestation.TCBInfo == nil {
		return nil
	}
	return []byte(attestation.TCBInfo.AppCompose)
}

// handle identifies a CVM to the API: its vm_uuid, or its id where there is none.
func handle(cvm *openapi.CVMDetail) string {
	if cvm.VMUUID != "" {
		return cvm.VMUUID
	}
	return string(cvm.ID)
}
