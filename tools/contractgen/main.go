// Command contractgen writes what the packages around the KMS contracts are generated from: Go bindings of
// the ABI files, and the compiled contracts that the tests deploy.
//
// The bindings come from go-ethereum's abigen (v2). The contracts are compiled by the solc of npm, pinned in
// the package-lock.json beside them, so this command needs node and npm.
package main

import (
	"flag"
	"log"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("contractgen: ")
	root := flag.String("root", ".", "the root of the repository")
	flag.Parse()
	onchain := filepath.Join(*root, "kms", "onchain")
	for dir, typeName := range map[string]string{"dstackapp": "App", "dstackkms": "Kms", "internal/kmsauth": "KmsAuth"} {
		if err := bind(filepath.Join(onchain, filepath.FromSlash(dir)), typeName); err != nil {
			log.Fatal(err)
		}
	}
	sources := filepath.Join(onchain, "testdata", "solidity")
	if err := compile(sources, filepath.Join(*root, "phalatest", "chaintest", "contracts.gen.json")); err != nil {
		log.Fatal(err)
	}
}
