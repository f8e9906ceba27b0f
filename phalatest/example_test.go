package phalatest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/webhook"
)

// A deployment by hand: provision, encrypt, create, wait, and read the environment of the guest.
func Example() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	p, err := c.CVMs.Provision(ctx, openapi.ProvisionRequest{
		Name: "web-1",
		ComposeFile: openapi.AppCompose{
			DockerComposeFile: openapi.Ptr("services:\n  web:\n    image: nginx\n"),
			AllowedEnvs:       []string{"TOKEN"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := kms.ParsePublicKey(p.AppEnvEncryptPublicKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	blob, err := kms.EncryptEnv([]kms.EnvVar{{Key: "TOKEN", Value: "hunter2"}}, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	vm, err := c.CVMs.Create(ctx, openapi.CreateCVMRequest{
		AppID: p.AppID, ComposeHash: p.ComposeHash, EncryptedEnv: openapi.Ptr(openapi.Secret(blob)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.CVMs.WaitFor(ctx, vm.VMUUID, "running"); err != nil {
		fmt.Println(err)
		return
	}
	env, err := cloud.Env(vm.VMUUID)
	fmt.Println(env, env[0].Value == "hunter2", err)
	// Output: [TOKEN=[redacted]] true <nil>
}

// A receiver of webhooks gets the events of a CVM that boots.
func ExampleWithWebhookReceiver() {
	const secret = "whsec_from_the_environment"
	got := make(chan string)
	handler, err := webhook.Handler(secret, func(_ context.Context, event webhook.Event) error {
		cvm, err := event.Lifecycle()
		got <- fmt.Sprint(event.Type, ": ", cvm.CVMName, " is ", cvm.Status)
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	cloud, err := phalatest.Start(phalatest.WithWebhookReceiver(handler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = c.Webhooks.Create(ctx, openapi.CreateWebhookRequest{
		URL: "https://app.example.com/phala", Events: []string{string(webhook.CVMCreated)}, Secret: openapi.Ptr(openapi.Secret(secret)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := c.CVMs.Provision(ctx, openapi.ProvisionRequest{
		Name: "web-1", ComposeFile: openapi.AppCompose{DockerComposeFile: openapi.Ptr("services:\n  web:\n    image: nginx\n")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := c.CVMs.Create(ctx, openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-got)
	// Output: cvm.created: web-1 is running
}

func ExampleServer_Fault() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	cloud.Fault("CVMs.ListAll", phalatest.Fault{Status: 403, Body: `{"detail":"No permission"}`})
	_, err = c.CVMs.ListAll(context.Background(), nil)
	fmt.Println(errors.Is(err, client.ErrForbidden))
	// Output: true
}

// A CVM that is always busy: client.WithConflictWait limits the wait for it.
func ExampleLocked() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client(client.WithoutRetry())
	if err != nil {
		fmt.Println(err)
		return
	}
	busy := phalatest.Locked()
	busy.Times = -1
	cloud.Fault("CVMs.Restart", busy)
	_, err = c.CVMs.Restart(context.Background(), "web-1", nil)
	fmt.Println(errors.Is(err, client.ErrBusy))
	// Output: true
}
