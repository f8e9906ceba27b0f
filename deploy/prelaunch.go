package deploy

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
)

// PreLaunchStatus is the comparison of an app's pre-launch script with the platform's current one.
type PreLaunchStatus struct {
	// Hash is the SHA-256 of the script in the document of the [App]; zero if it has none.
	Hash compose.Hash
	// Running is the platform's script that the document has; nil if it has a script of its own, or none.
	Running *compose.PreLaunchScript
	// Announced is the hash that the cloud reports as the latest official one, and Latest the known script with that
	// hash in package compose. If Latest is nil, the script is unverified: do not adopt it unread.
	Announced compose.Hash
	Latest    *compose.PreLaunchScript
}

// PreLaunch compares the pre-launch script of an app with the published scripts of the platform. The hash that the
// cloud reports is only looked up among them. Only newer servers report it.
func PreLaunch(ctx context.Context, c *client.Client, app *App) (*PreLaunchStatus, error) {
	doc, err := app.Compose()
	if err != nil {
		return nil, fmt.Errorf("pre-launch script: %w", err)
	}
	cvm, err := app.find("")
	if err != nil {
		return nil, fmt.Errorf("pre-launch script: %w", err)
	}
	status := &PreLaunchStatus{}
	if doc.PreLaunchScript != nil {
		status.Hash = compose.Sum([]byte(*doc.PreLaunchScript))
		if script, ok := compose.LookupPreLaunch(*doc.PreLaunchScript); ok {
			status.Running = &script
		}
	}
	upgrade, err := c.CVMs.GetPreLaunchUpgrade(ctx, cvm.ID)
	if err != nil {
		return nil, fmt.Errorf("pre-launch script of cvm %s: %w", cvm.ID, err)
	}
	if status.Announced, err = compose.ParseHash(upgrade.LatestOfficialHash); err != nil {
		return nil, mismatch(CheckDocument, "the hash of the latest official pre-launch script", upgrade.LatestOfficialHash)
	}
	if script, ok := compose.LookupPreLaunchHash(status.Announced.String()); ok {
		status.Latest = &script
	}
	return status, nil
}
