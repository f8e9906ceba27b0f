package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/phala-go/phala/internal/turns"
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

// BenchmarkCall reads one CVM through the pipeline, and by hand over net/http.
func BenchmarkCall(b *testing.B) {
	transport := benchTransport(benchCVM(1))
	c, h := newTest(b, transport), &http.Client{Transport: transport}
	turns.Compare(b, "nethttp", func() error {
		_, err := c.CVMs.Get(b.Context(), "web-1")
		return err
	}, func() error {
		_, err := byHand[openapi.CVMDetail](b, h, "https://cloud-api.phala.com/api/v1/cvms/web-1")
		return err
	})
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

// BenchmarkCallPlain is BenchmarkCall with a baseline that decodes into plain structs.
func BenchmarkCallPlain(b *testing.B) {
	transport := benchTransport(benchCVM(1))
	c, h := newTest(b, transport), &http.Client{Transport: transport}
	turns.Compare(b, "plain", func() error {
		_, err := c.CVMs.Get(b.Context(), "web-1")
		return err
	}, func() error {
		_, err := byHand[plainCVM](b, h, "https://cloud-api.phala.com/api/v1/cvms/web-1")
		return err
	})
}

// BenchmarkPage reads a page of 100 CVMs through the pipeline, and by hand over net/http.
func BenchmarkPage(b *testing.B) {
	cvms := make([]string, 100)
	for i := range cvms {
		cvms[i] = benchCVM(i)
	}
	transport := benchTransport(`{"items":[` + strings.Join(cvms, ",") + `],"total":100,"page":1,"page_size":100,"pages":1}`)
	c, h := newTest(b, transport), &http.Client{Transport: transport}
	params := &openapi.CVMsListParams{PageSize: openapi.Ptr(100)}
	whole := func(page *openapi.CVMPage, err error) error {
		if err == nil && len(page.Items) != 100 {
			err = fmt.Errorf("%d items", len(page.Items))
		}
		return err
	}
	turns.Compare(b, "nethttp", func() error {
		return whole(c.CVMs.List(b.Context(), params))
	}, func() error {
		return whole(byHand[openapi.CVMPage](b, h, "https://cloud-api.phala.com/api/v1/cvms/paginated?page_size=100"))
	})
}
