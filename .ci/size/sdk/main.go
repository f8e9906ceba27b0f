// Command sdk lists CVMs with the SDK. Its stripped size is compared with that of the same on net/http.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/phala-go/phala/client"
)

func main() {
	c, err := client.New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	page, err := c.CVMs.List(context.Background(), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, cvm := range page.Items {
		fmt.Println(cvm.Name, cvm.Status)
	}
}
