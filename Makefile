# What contributors run; CI runs the same. Nothing is needed beside the checkout: Go, a C compiler for the race detector, npm for
# what is generated and for the official JavaScript SDK.
GO ?= go
FUZZTIME ?= 5s
export FUZZTIME

.PHONY: help
help: ## Print the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: ci
ci: ## Run all that CI runs; half an hour on two cores.
	.ci/run

.PHONY: quickstart
quickstart: ## Run the quickstart against the embedded cloud.
	$(GO) run ./examples/quickstart

.PHONY: test
test: ## Run all tests.
	$(GO) test ./...
	.ci/nested test ./...

.PHONY: race
race: ## Run all tests with the race detector, in random order.
	$(GO) test -p 1 -race -shuffle=on ./...
	.ci/nested -examples test -race -shuffle=on ./...

.PHONY: vet
vet: ## Run go vet, also for 32 bits.
	$(GO) vet ./...
	GOARCH=386 CGO_ENABLED=0 $(GO) vet ./...
	.ci/nested vet ./...

.PHONY: format-check
format-check: ## Fail for a file that gofmt would change.
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }

.PHONY: lint
lint: ## Run golangci-lint with .golangci.yml, and actionlint. Its first build takes minutes.
	.ci/lint

.PHONY: vuln
vuln: ## Look for known vulnerabilities.
	.ci/vuln

.PHONY: imports
imports: ## Check which package imports what.
	.ci/imports

.PHONY: generate
generate: ## Write the generated files anew.
	$(GO) generate ./...

.PHONY: generate-check
generate-check: ## Generate, tidy the modules, and fail for a difference.
	.ci/generated

.PHONY: tidy
tidy: ## Tidy the modules.
	for mod in $$(git ls-files go.mod '*/go.mod'); do $(GO) -C $$(dirname $$mod) mod tidy || exit 1; done

.PHONY: api
api: ## Record the exported API: api/v0.1.txt.
	$(GO) -C tools run ./apirecord -root .. -write

.PHONY: api-check
api-check: ## Compare the exported API with its record.
	$(GO) -C tools run ./apirecord -root ..

.PHONY: compat
compat: ## Compile the last version's Examples with the code of today.
	.ci/compat

.PHONY: drift
drift: ## Compare a published description with ours: make drift PUBLISHED=file [BEFORE=file].
	$(GO) -C tools run ./drift -root .. -published $(abspath $(PUBLISHED)) $(if $(BEFORE),-before $(abspath $(BEFORE)))

.PHONY: deps
deps: ## Write the tables of docs/dependencies.md.
	$(GO) -C tools run ./deps -root .. -write

.PHONY: deps-check
deps-check: ## Compare docs/dependencies.md with what is compiled.
	$(GO) -C tools run ./deps -root ..

.PHONY: sbom
sbom: ## Write a software bill of materials: bin/sbom.json.
	.ci/sbom

.PHONY: examples
examples: ## Build and run the examples.
	.ci/examples

.PHONY: pictures
pictures: ## Draw the pictures of the terminal programs in the documents.
	tools/pictures

.PHONY: pictures-check
pictures-check: ## Compare the pictures with what the programs print.
	tools/pictures check

.PHONY: interoperate
interoperate: ## Run the official JavaScript SDK and command line, and another verifier of quotes.
	.ci/js/run
	.ci/js/cli
	.ci/js/qvl/run

.PHONY: geth
geth: ## Run the tests of kms/onchain on geth.
	.ci/geth

.PHONY: bench
bench: ## Measure against the baselines: the tables and plots of docs/performance.md. COUNT=10 takes more runs.
	.ci/bench

.PHONY: bench-plots
bench-plots: ## Draw the plots from what was measured last.
	.ci/bench plots

.PHONY: bench-check
bench-check: ## Compare the main ratios with their recorded bands.
	.ci/bench check

.PHONY: bench-record
bench-record: ## Record the bands around what was measured last.
	.ci/bench record

.PHONY: soak
soak: ## Run the flows of deploy under random faults.
	$(GO) run ./internal/soak -flows 500 -seed 1 -real 3

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME.
	.ci/fuzz
