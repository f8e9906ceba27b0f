package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// faked is a client of a fake cloud, and what ends it. With client.New() the examples run on the real one.
func faked() (*client.Client, func()) {
	cloud, err := phalatest.Start()
	if err != nil {
		log.Fatal(err)
	}
	c, err := cloud.Client()
	if err != nil {
		log.Fatal(err)
	}
	return c, cloud.Close
}

func ExampleAccountService_Get() {
	c, done := faked()
	defer done()
	me, err := c.Account.Get(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(me.User.Username, "in workspace", me.Workspace.Slug)
	// Output: tester in workspace test
}

func ExampleWorkspacesService_GetQuotas() {
	c, done := faked()
	defer done()
	ctx := context.Background()
	for w, err := range c.Workspaces.All(ctx, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		quotas, err := c.Workspaces.GetQuotas(ctx, w.Slug)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(quotas.TeamSlug, quotas.Tier)
	}
	// Output: test PRO
}

func ExampleNodesService_ListAvailable() {
	c, done := faked()
	defer done()
	available, err := c.Nodes.ListAvailable(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range available.Nodes {
		fmt.Println(n.Name, n.RegionIdentifier)
	}
	// Output:
	// test1 test
	// test2 test-2
}

func ExampleInstanceTypesService_ListFamily() {
	c, done := faked()
	defer done()
	family, err := c.InstanceTypes.ListFamily(context.Background(), "cpu")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range family.Items[:1] {
		fmt.Println(t.ID, t.VCPU, "vCPU,", t.MemoryMB, "MB")
	}
	// Output: tdx.small 1 vCPU, 2048 MB
}

func ExampleOSImagesService_All() {
	c, done := faked()
	defer done()
	production := &openapi.OSImagesListParams{IsDev: openapi.Ptr(false)}
	for image, err := range c.OSImages.All(context.Background(), production) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(image.Name)
		break
	}
	// Output: dstack-0.5.5
}

// The key that secrets are encrypted for is signed by the root key of the KMS.
func ExampleKMSService_GetAppEnvPublicKey() {
	c, done := faked()
	defer done()
	ctx := context.Background()
	next, err := c.KMS.GetNextAppIDs(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := c.KMS.GetAppEnvPublicKey(ctx, "phala-test1", next.AppIDs[0].AppID)
	if err != nil {
		fmt.Println(err)
		return
	}
	app, _ := kms.ParseAppID(next.AppIDs[0].AppID)
	key, _ := kms.ParsePublicKey(answer.PublicKey)
	sig, _ := kms.ParseSignature(answer.Signature)
	signer, err := kms.RecoverSigner(app, key, sig)
	fmt.Println(len(signer), err)
	// Output: 33 <nil>
}

func ExampleAppsService_All() {
	c, done := faked()
	defer done()
	count := 0
	for _, err := range c.Apps.All(context.Background(), &openapi.AppsListParams{Status: []string{"running"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		count++
	}
	fmt.Println(count, "apps run")
	// Output: 0 apps run
}

func ExampleSSHKeysService_Create() {
	c, done := faked()
	defer done()
	ctx := context.Background()
	_, err := c.SSHKeys.Create(ctx, openapi.CreateSSHKeyRequest{
		Name: "laptop", PublicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0s1EaVkRX0vG6q8E7ZrPDXkE5Jj9VfWjWm0K2nS1lU",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := c.SSHKeys.List(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(keys[0].Name, keys[0].KeyType)
	// Output: laptop ssh-ed25519
}

// The secret is shown once, when the webhook is created; package webhook verifies with it.
func ExampleWebhooksService_Create() {
	c, done := faked()
	defer done()
	ctx := context.Background()
	hook, err := c.Webhooks.Create(ctx, openapi.CreateWebhookRequest{
		URL: "https://app.example.com/phala", Events: []string{"cvm.created", "cvm.deleted"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(hook.Events, hook.Secret, len(hook.Secret) > 32)
	// Output: [cvm.created cvm.deleted] [redacted] true
}

func ExampleAttestationsService_ListPPIDs() {
	c, done := faked()
	defer done()
	ppids, err := c.Attestations.ListPPIDs(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(ppids), "platforms, the first", ppids[0])
	// Output: 2 platforms, the first 00000000000000000000000000000001
}
