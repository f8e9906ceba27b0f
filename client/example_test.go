package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/jarcoal/httpmock"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// mocked is a client whose cloud knows one CVM.
func mocked(opts ...client.Option) (*client.Client, error) {
	mock := httpmock.NewMockTransport()
	const cvm = `{"id":"cvm_1","name":"web-1","status":"running","resource":{},"gateway":{}}`
	mock.RegisterResponder("GET", "https://cloud-api.phala.com/api/v1/cvms/web-1", httpmock.NewStringResponder(200, cvm))
	mock.RegisterNoResponder(httpmock.NewStringResponder(404, `{"error_code":"ERR-03-001","message":"CVM was not found"}`))
	return client.New(append([]client.Option{
		client.WithAPIKey("phak_example"),
		client.WithHTTPClient(&http.Client{Transport: mock}),
	}, opts...)...)
}

func ExampleNew() {
	c, err := mocked(client.WithTimeout(10*time.Second), client.WithUserAgent("shop/1.2"))
	if err != nil {
		fmt.Println(err)
		return
	}
	cvm, err := c.CVMs.Get(context.Background(), "web-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cvm.ID, cvm.Status)
	// Output: cvm_1 running
}

func ExampleAPIError() {
	c, err := mocked()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.CVMs.Get(context.Background(), "web-2")
	var api *client.APIError
	if errors.As(err, &api) {
		fmt.Println(errors.Is(err, client.ErrNotFound), api.Code == client.CodeCVMNotFound)
		fmt.Println(api)
	}
	// Output:
	// true true
	// CVMs.Get: 404 ERR-03-001: CVM was not found
}

func ExampleClient_Do() {
	c, err := mocked()
	if err != nil {
		fmt.Println(err)
		return
	}
	var cvm struct{ Name string }
	err = c.Do(context.Background(), "GET", "/cvms/web-1", nil, &cvm)
	fmt.Println(cvm.Name, err)
	// Output: web-1 <nil>
}

func ExampleWithOptions() {
	c, err := mocked()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := client.WithOptions(context.Background(), client.WithoutRetry(), client.WithAPIVersion("latest"))
	resp, err := c.API.CVMsGet(ctx, "web-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 200
}

// booting is a client of a fake cloud in which a CVM boots.
func booting() (*phalatest.Server, *client.Client, error) {
	cloud, err := phalatest.Start()
	if err != nil {
		return nil, nil, err
	}
	c, err := cloud.Client()
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	p, err := c.CVMs.Provision(ctx, openapi.ProvisionRequest{
		Name:        "web-1",
		ComposeFile: openapi.AppCompose{DockerComposeFile: openapi.Ptr("services: {}")},
	})
	if err != nil {
		return nil, nil, err
	}
	_, err = c.CVMs.Create(ctx, openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
	return cloud, c, err
}

func ExampleCVMsService_WaitFor() {
	cloud, c, err := booting()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(c.CVMs.WaitFor(ctx, "web-1", "running"))
	// Output: <nil>
}

func ExampleClient_WaitAll() {
	cloud, c, err := booting()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = c.WaitAll(ctx, []string{"web-1", "web-2"}, "running", client.WithPollInterval(10*time.Millisecond))
	var all *client.WaitAllError
	if errors.As(err, &all) {
		for _, failed := range all.Failed {
			fmt.Println(failed.CVM, errors.Is(failed, client.ErrNotFound), "of", all.Total)
		}
	}
	// Output: web-2 true of 2
}

func ExampleCVMsService_WaitIdle() {
	cloud, c, err := booting()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.CVMs.WaitIdle(ctx, "web-1", client.WithPollInterval(10*time.Millisecond)); err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.CVMs.Restart(ctx, "web-1", nil)
	fmt.Println(errors.Is(err, client.ErrBusy), err)
	// Output: false <nil>
}

func ExampleCVMsService_Watch() {
	cloud, c, err := booting()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	last := ""
	for event, err := range c.CVMs.Watch(context.Background(), "web-1", client.WatchOptions{Target: "running"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		last = event.Type + ", " + string(event.State.Status)
	}
	fmt.Println(last)
	// Output: complete, running
}

// twoPages is a client whose cloud lists three CVMs on two pages.
func twoPages() (*client.Client, error) {
	mock := httpmock.NewMockTransport()
	const list = "https://cloud-api.phala.com/api/v1/cvms/paginated"
	for page, names := range map[string]string{"1": `{"name":"web-1"},{"name":"web-2"}`, "2": `{"name":"db-1"}`} {
		mock.RegisterResponderWithQuery("GET", list, "page="+page,
			httpmock.NewStringResponder(200, `{"items":[`+names+`],"total":3,"page":`+page+`,"page_size":2,"pages":2}`))
	}
	return client.New(client.WithAPIKey("phak_example"), client.WithHTTPClient(&http.Client{Transport: mock}))
}

func ExampleCVMsService_All() {
	c, err := twoPages()
	if err != nil {
		fmt.Println(err)
		return
	}
	for cvm, err := range c.CVMs.All(context.Background(), nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(cvm.Name)
	}
	// Output:
	// web-1
	// web-2
	// db-1
}

func ExampleCollect() {
	c, err := twoPages()
	if err != nil {
		fmt.Println(err)
		return
	}
	cvms, err := client.Collect(c.CVMs.All(context.Background(), nil), 2)
	fmt.Println(len(cvms), err)
	// Output: 2 <nil>
}

func ExampleCVMsService_Logs() {
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder("GET", "https://cloud-api.phala.com/api/v1/cvms/web-1/composition", httpmock.NewStringResponder(200,
		`{"is_online":true,"containers":[{"id":"c1","names":["/web"],"created":1700000000,"log_endpoint":"https://logs.example/web"}]}`))
	mock.RegisterResponder("GET", "https://logs.example/web", func(r *http.Request) (*http.Response, error) {
		return httpmock.NewStringResponse(200, fmt.Sprintf("key sent here: %t\n", r.Header.Get("X-API-Key") != "")), nil
	})
	c, err := client.New(client.WithAPIKey("phak_example"), client.WithHTTPClient(&http.Client{Transport: mock}))
	if err != nil {
		fmt.Println(err)
		return
	}
	log, err := c.CVMs.Logs(context.Background(), "web-1", client.ContainerLog("web"), client.LogOptions{Tail: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	if _, err := io.Copy(os.Stdout, log); err != nil {
		fmt.Println(err)
	}
	// Output: key sent here: false
}
