package compose_test

import (
	"fmt"
	"strings"

	"github.com/phala-go/phala/compose"
)

func ExampleNew() {
	app, err := compose.New("services:\n  web:\n    image: nginx\n",
		compose.WithAllowedEnvs("DATABASE_URL"),
		compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	hash, err := app.Hash()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.Predictable(), hash)
	// Output: true 39577cdd76b90f87bf77522f62d37bdead19d0fcc98714e3b523721f9479f013
}

func ExampleSum() {
	// What runs is verified by hashing its text as it is, whatever its layout.
	attested := []byte("{\n  \"name\": \"web\"\n}")
	fmt.Println(compose.Sum(attested))
	// Output: 75116160203cbc6914666914696df66b93398e562aab7e3bbd6e0e3480975cef
}

func ExampleCanonicalize() {
	text, err := compose.Canonicalize([]byte(`{ "runner": "docker-compose", "name": "a<b", "manifest_version": 2.0 }`))
	fmt.Println(string(text), err)
	// Output: {"manifest_version":2,"name":"a<b","runner":"docker-compose"} <nil>
}

func ExampleCanonicalize_refused() {
	_, err := compose.Canonicalize([]byte(`{"docker_config":{"registry":"a","registry":"b"}}`))
	fmt.Println(err)
	// Output: app-compose: two members of one name at $.docker_config.registry (byte 48)
}

func ExampleEnvNames() {
	names, err := compose.EnvNames("environment:\n  URL: ${DATABASE_URL}\n  KEY: ${KEY:-$FALLBACK}\n  PRICE: 5$$\n")
	fmt.Println(names, err)
	// Output: [DATABASE_URL KEY FALLBACK] <nil>
}

func ExampleReadEnv() {
	env, err := compose.ReadEnv(strings.NewReader("export TOKEN='a b'\nURL=postgres://db # the database\n"))
	fmt.Println(env, err)
	// Output: [TOKEN=[redacted] URL=[redacted]] <nil>
}
