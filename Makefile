# What contributors run. CI runs the same targets; .ci/run runs all of them.
GO ?= go
FUZZTIME ?= 5s
bin := $(CURDIR)/bin
nested := tools examples/service examples/opentelemetry

.PHONY: help
help: ## Print the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run all tests.
	$(GO) test ./...
	for m in $(nested); do $(GO) -C $$m test ./... || exit 1; done

.PHONY: race
race: ## Run all tests with the race detector, in random order. Needs a C compiler.
	$(GO) test -p 1 -race -shuffle=on ./...
	$(GO) -C examples/service test -race -shuffle=on ./...
	$(GO) -C examples/opentelemetry test -race -shuffle=on ./...

.PHONY: generate
generate: ## Write the generated files anew. Needs npm, for the Solidity compiler.
	$(GO) generate ./...

.PHONY: tidy
tidy: ## Tidy the modules.
	$(GO) mod tidy
	for m in $(nested) tools/lint; do $(GO) -C $$m mod tidy || exit 1; done

.PHONY: api
api: ## Record the exported API: api/v0.1.txt.
	$(GO) -C tools run ./apirecord -root .. -write

.PHONY: api-check
api-check: ## Compare the exported API with its record.
	$(GO) -C tools run ./apirecord -root ..

.PHONY: deps
deps: ## Write the tables of docs/dependencies.md.
	$(GO) -C tools run ./deps -root .. -write

.PHONY: deps-check
deps-check: ## Compare docs/dependencies.md with what is compiled.
	$(GO) -C tools run ./deps -root ..

.PHONY: lint
lint: $(bin)/golangci-lint ## Run golangci-lint with .golangci.yml. Its first build takes minutes.
	$(bin)/golangci-lint run ./...
	for m in $(nested); do (cd $$m && $(bin)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

$(bin)/golangci-lint: tools/lint/go.mod
	$(GO) -C tools/lint build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: drift
drift: ## Compare a published description with ours: make drift PUBLISHED=file [BEFORE=file].
	$(GO) -C tools run ./drift -root .. -published $(abspath $(PUBLISHED)) $(if $(BEFORE),-before $(abspath $(BEFORE)))
