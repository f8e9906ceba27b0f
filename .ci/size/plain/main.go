// Command plain lists CVMs on net/http. It is the floor for the size of a program that uses the SDK.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	req, err := http.NewRequest(http.MethodGet, "https://cloud-api.phala.com/api/v1/cvms/paginated", nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", os.Getenv("PHALA_CLOUD_API_KEY"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var page struct {
		Items []struct{ Name, Status string }
	}
	if err := json.Unmarshal(data, &page); err != nil {
		return err
	}
	for _, cvm := range page.Items {
		fmt.Println(cvm.Name, cvm.Status)
	}
	return nil
}
