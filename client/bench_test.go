package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phala-go/phala/internal/interleave"
	"github.com/phala-go/phala/openapi"
)

// benchCVM is a CVM as the API describes one.
func benchCVM(i int) string {
	return fmt.Sprintf(`{"id":"cvm_%06d","name":"web-%d","app_id":"343c43a37d37dff08ae8c4a11544c718abb4fcf8","vm_uuid":"83509fd5-348f-4dc3-9a8a-500b3670bd23",
"instance_id":"588faf8496cde2ad6fcea2c8aac3257a7c5dc26b","resource":{"instance_type":"tdx.small","vcpu":1,"memory_in_gb":2,"disk_in_gb":20,"gpus":0,"compute_billing_price":"0.058","billing_period":"hourly"},
"node_info":{"object_type":"node","id":1,"node_id":1,"name":"prod7","region":"us-west","device_id":"0e8bdfcac42771a24d6f19eae0dc97885eab8d58fb2b43b8ea141809d16f4b71","status":"ONLINE"},
"os":{"name":"dstack-0.5.5","version":"0.5.5","is_dev":false},"kms_type":"phala","kms_info":{"encrypted_env_pubkey":"2d8b37fae889ba2f9cda4e0aa526cbe7e4293e4b32b6c01d5b3e34e75e433f1d"},
"status":"running","in_progress":false,"compose_hash":"0e8bdfcac42771a24d6f19eae0dc97885eab8d58fb2b43b8ea141809d16f4b71","gateway":{"base_domain":"dstack-prod7.phala.network"},
"endpoints":[{"app":"https://343c43a37d37dff08ae8c4a11544c718abb4fcf8-80.dstack-prod7.phala.network","instance":"https://588faf8496cde2ad6fcea2c8aac3257a7c5dc26b-80.dstack-prod7.phala.network"}],
"public_logs":true,"public_sysinfo":true,"public_tcbinfo":true,"gateway_enabled":true,"secure_time":false,"storage_fs":"zfs",
"workspace":{"object_type":"workspace","id":"wks_1","name":"Shop","slug":"shop"},"creator":{"object_type":"user","id":"usr_1","username":"ann"},"created_at":"2026-01-21T08:30:05Z","listed":false}`, i, i)
}

func benchTransport(body string) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}, nil
	}
}

// byHand is what one writes without an SDK: a request, its headers, the body, the model.
func byHand[T any](b *testing.B, h *http.Client, url string) (*T, error) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", testKey)
	req.Header.Set("X-Phala-Version", DefaultAPIVersion)
	req.Header.Set("Accept", "application/json")
	resp, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	v := new(T)
	return v, json.Unmarshal(data, v)
}

// plainCVM is what one declares by hand for the same CVM: plain fields, no types of the wire.
type plainCVM struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	AppID      string `json:"app_id"`
	VMUUID     string `json:"vm_uuid"`
	InstanceID string `json:"instance_id"`
	Resource   struct {
		InstanceType        string  `json:"instance_type"`
		VCPU                int     `json:"vcpu"`
		MemoryInGB          float64 `json:"memory_in_gb"`
		DiskInGB            int     `json:"disk_in_gb"`
		GPUs                int     `json:"gpus"`
		ComputeBillingPrice string  `json:"compute_billing_price"`
		BillingPeriod       string  `json:"billing_period"`
	} `json:"resource"`
	NodeInfo struct {
		ObjectType string `json:"object_type"`
		ID         int    `json:"id"`
		NodeID     int    `json:"node_id"`
		Name       string `json:"name"`
		Region     string `json:"region"`
		DeviceID   string `json:"device_id"`
		Status     string `json:"status"`
	} `json:"node_info"`
	OS struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		IsDev   bool   `json:"is_dev"`
	} `json:"os"`
	KMSType string `json:"kms_type"`
	KMSInfo struct {
		EncryptedEnvPubkey string `json:"encrypted_env_pubkey"`
	} `json:"kms_info"`
	Status      string `json:"status"`
	InProgress  bool   `json:"in_progress"`
	ComposeHash string `json:"compose_hash"`
	Gateway     struct {
		BaseDomain string `json:"base_domain"`
	} `json:"gateway"`
	Endpoints []struct {
		App      string `json:"app"`
		Instance string `json:"instance"`
	} `json:"endpoints"`
	PublicLogs     bool   `json:"public_logs"`
	PublicSysInfo  bool   `json:"public_sysinfo"`
	PublicTCBInfo  bool   `json:"public_tcbinfo"`
	GatewayEnabled bool   `json:"gateway_enabled"`
	SecureTime     bool   `json:"secure_time"`
	StorageFS      string `json:"storage_fs"`
	Workspace      struct {
		ID, Name, Slug string
	} `json:"workspace"`
	Creator struct {
		ID, Username string
	} `json:"creator"`
	CreatedAt time.Time `json:"created_at"`
	Listed    bool      `json:"listed"`
}

// BenchmarkCall reads one CVM through the pipeline, and by hand over net/http: into the same type, and into plain structs.
func BenchmarkCall(b *testing.B) {
	transport := benchTransport(benchCVM(1))
	c, h := newTest(b, transport), &http.Client{Transport: transport}
	const url = "https://cloud-api.phala.com/api/v1/cvms/web-1"
	interleave.Compare(b, func() error {
		_, err := c.CVMs.Get(b.Context(), "web-1")
		return err
	}, interleave.Baseline{Name: "nethttp", Do: func() error {
		_, err := byHand[openapi.CVMDetail](b, h, url)
		return err
	}}, interleave.Baseline{Name: "plain", Do: func() error {
		_, err := byHand[plainCVM](b, h, url)
		return err
	}})
}

// BenchmarkPage reads a page of 100 CVMs through the pipeline, and by hand over net/http into the same and plain types.
func BenchmarkPage(b *testing.B) {
	cvms := make([]string, 100)
	for i := range cvms {
		cvms[i] = benchCVM(i)
	}
	transport := benchTransport(`{"items":[` + strings.Join(cvms, ",") + `],"total":100,"page":1,"page_size":100,"pages":1}`)
	c, h := newTest(b, transport), &http.Client{Transport: transport}
	params := &openapi.CVMsListParams{PageSize: openapi.Ptr(100)}
	whole := func(items int, err error) error {
		if err == nil && items != 100 {
			err = fmt.Errorf("%d items", items)
		}
		return err
	}
	const url = "https://cloud-api.phala.com/api/v1/cvms/paginated?page_size=100"
	interleave.Compare(b, func() error {
		page, err := c.CVMs.List(b.Context(), params)
		return whole(len(page.Items), err)
	}, interleave.Baseline{Name: "nethttp", Do: func() error {
		page, err := byHand[openapi.CVMPage](b, h, url)
		return whole(len(page.Items), err)
	}}, interleave.Baseline{Name: "plain", Do: func() error {
		page, err := byHand[plainPage](b, h, url)
		return whole(len(page.Items), err)
	}})
}

// plainPage is what one declares by hand for a page.
type plainPage struct {
	Items    []plainCVM `json:"items"`
	Total    int        `json:"total"`
	Page     int        `json:"page"`
	PageSize int        `json:"page_size"`
	Pages    int        `json:"pages"`
}

// BenchmarkWaitAll waits for 100,000 CVMs that run already, and for fewer: what asking for all of them costs, without the
// pauses between.
func BenchmarkWaitAll(b *testing.B) {
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		var asked openapi.GetStatusesRequest
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			return nil, err
		}
		states := make(map[string]json.RawMessage, len(asked.VMUUIDs))
		for _, id := range asked.VMUUIDs {
			states[id] = json.RawMessage(`{"vm_uuid":"` + id + `","status":"running","uptime":"3m","in_progress":false}`)
		}
		body, err := json.Marshal(states)
		if err != nil {
			return nil, err
		}
		return benchTransport(string(body))(r)
	})
	c := newTest(b, transport)
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = uuidOf(i)
	}
	wait := func(n int) func() error {
		return func() error { return c.WaitAll(b.Context(), ids[:n], openapi.CVMRunning) }
	}
	var fewer []interleave.Baseline
	for _, n := range []int{1000, 2000, 5000, 10_000, 20_000, 50_000} {
		fewer = append(fewer, interleave.Baseline{Name: strconv.Itoa(n), Do: wait(n)})
	}
	interleave.Compare(b, wait(len(ids)), fewer...)
}

// BenchmarkWatchMemory measures what a watch holds that waits for the next event of its stream: what it has allocated, and
// the stack of its goroutine, without the connection, which is the transport's.
func BenchmarkWatchMemory(b *testing.B) {
	const watches = 1000
	inUse := func() (heap, stack float64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc), float64(m.StackInuse)
	}
	var heap, stack float64
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		c := newTest(b, func(r *http.Request) (*http.Response, error) {
			return sseReply(io.MultiReader(strings.NewReader(state("starting")), untilDone{r.Context()})), nil
		})
		c.watchers = make(chan struct{}, watches)
		var waiting, ended sync.WaitGroup
		heapBefore, stackBefore := inUse()
		waiting.Add(watches)
		for range watches {
			ended.Go(func() {
				for event := range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: openapi.CVMRunning}) {
					if event.Type == EventState {
						waiting.Done()
					}
				}
			})
		}
		waiting.Wait()
		time.Sleep(100 * time.Millisecond) // until the goroutines are back in Read
		heapNow, stackNow := inUse()
		heap, stack = max(heap, (heapNow-heapBefore)/watches), max(stack, (stackNow-stackBefore)/watches)
		cancel()
		ended.Wait()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(heap, "heap-bytes")
	b.ReportMetric(stack, "stack-bytes")
}

// untilDone is the rest of a stream that says nothing more.
type untilDone struct{ context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.Done()
	return 0, u.Err()
}
