package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

// BenchmarkCheck judges a page of a hundred objects. The other rows are what decoding costs anyway.
func BenchmarkCheck(b *testing.B) {
	one := `{"id":"cvm_000001","name":"web-1","app_id":"343c43a37d37dff08ae8c4a11544c718abb4fcf8","resource":{"instance_type":"tdx.small","vcpu":1,"memory_in_gb":2,"gpus":0},
"status":"running","in_progress":false,"compose_hash":"0e8bdfcac42771a24d6f19eae0dc97885eab8d58fb2b43b8ea141809d16f4b71","gateway":{"base_domain":"dstack-prod7.phala.network"},
"endpoints":[{"app":"https://343c43a37d37dff08ae8c4a11544c718abb4fcf8-80.dstack-prod7.phala.network"}],"public_logs":true,"workspace":null}`
	page := []byte("[" + strings.Repeat(one+",", 99) + one + "]")
	b.Run("phala", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		b.ReportAllocs()
		for b.Loop() {
			if err := Check(page, MaxItems); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("slowly", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			if err := checkSlowly(page, MaxItems); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("valid", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			if !json.Valid(page) {
				b.Fatal("not valid")
			}
		}
	})
}
