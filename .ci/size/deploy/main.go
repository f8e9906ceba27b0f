// Command deploy deploys an app with the SDK and has its hardware proven. Its stripped size is compared with that of a
// program that lists CVMs.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	c, err := client.New()
	if err != nil {
		return err
	}
	document, err := compose.New(os.Getenv("DOCKER_COMPOSE"))
	if err != nil {
		return err
	}
	root, err := kms.ParseRootKey(os.Getenv("KMS_ROOT"))
	if err != nil {
		return err
	}
	app, err := deploy.Run(ctx, c, deploy.Spec{Name: "web-1", Compose: document}, deploy.WithKMSRoot(root))
	if err != nil {
		return err
	}
	fmt.Println(app.ID)
	return nil
}
