package openapi_test

import (
	"encoding/json"
	"fmt"

	"github.com/phala-go/phala/openapi"
)

// The same answer under two API versions: an id is a number in one and a string in the other.
func ExampleID() {
	for _, answer := range []string{`{"id": 1042, "name": "web"}`, `{"id": "cvm_Xk3", "name": "web"}`} {
		var vm openapi.VM
		if err := json.Unmarshal([]byte(answer), &vm); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(vm.ID)
	}
	// Output:
	// 1042
	// cvm_Xk3
}

func ExampleSecret() {
	token := openapi.Secret("5b0c-do-not-log")
	fmt.Printf("committing with %v\n", token)
	// Output: committing with [redacted]
}

func ExamplePathParam() {
	_, err := openapi.NewCVMsGetRequest("https://cloud-api.phala.com", "..")
	fmt.Println(err)
	// Output: invalid path parameter: ".." would change the route
}
