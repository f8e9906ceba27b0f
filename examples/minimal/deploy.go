package main

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
)

// deployWeb is the program of the README.
func deployWeb(ctx context.Context, c *client.Client, dockerCompose, script string, trust ...deploy.Option) error {
	env, err := compose.ReadEnvFile(".env")
	if err != nil {
		return err
	}
	doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript(script))
	if err != nil {
		return err
	}
	app, err := deploy.Run(ctx, c, deploy.Spec{
		Name: "web-1", Compose: doc, Env: env, InstanceType: "tdx.small",
	}, trust...) // such as deploy.WithKMSRoot(root), deploy.TrustAppIDFromCloud()
	if err != nil {
		return err // *deploy.MismatchError, *deploy.SecretsError, *deploy.BootError, *deploy.VerificationError, *client.APIError
	}
	fmt.Println(app.Last.URLs)
	fmt.Println(app.Last.Report)                  // what the hardware proves, check by check
	return deploy.SaveFile("web-1.app.json", app) // the anchor of every later flow
}
