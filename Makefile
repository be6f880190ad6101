# `make` lists the targets. Only Go is needed; a C compiler adds the XLA backend.

.DEFAULT_GOAL := help
.PHONY: help build dist demo demo-onnxruntime targets test bench bench-peer lint xla onnxruntime clean

GO ?= go
export GO

# The pure-Go backend multiplies matrices about ten times faster with Go's SIMD experiment. A toolchain that does not
# know the experiment ends in an error: ask it first.
ifndef GOEXPERIMENT
ifeq ($(shell GOEXPERIMENT=simd $(GO) env GOVERSION >/dev/null 2>&1 && echo yes),yes)
export GOEXPERIMENT := simd
endif
endif

# XLA is reached through cgo, which needs a C compiler.
CGO := $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) >/dev/null && echo 1)
ifneq ($(CGO),1)
TAGS := -tags noxla
export CGO_ENABLED := 0
endif

# Packages whose code runs goroutines of its own, or follows signals: tested once more with the race detector. The pointer
# checks that come with it are off, because the pure-Go backend's matrix product does not pass them.
RACE := ./internal/... ./profiler ./cmd/profiler ./search/dataset/...
RACE_FLAGS := -race -gcflags=all=-d=checkptr=0 -short

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/profiler, bin/search and bin/report
ifneq ($(CGO),1)
	@echo "no C compiler: building without the XLA backend" >&2
endif
	$(GO) build $(TAGS) -o bin/ ./cmd/...

dist: ## Build static profiler and report for other machines into dist/, without the XLA backend
	@sh scripts/dist.sh

demo: build ## Profile this machine, search on real images, report: the whole line once
	@sh scripts/demo.sh

demo-onnxruntime: build ## From a table measured in ONNX Runtime to an exported network measured there
	@sh scripts/demo_onnxruntime.sh

targets: build ## Search for ten targets and check that they are met, in about an hour: DATA=pictures.zip
	@sh scripts/targets.sh

test: lint ## Vet, lint and test, then say what was skipped
	$(if $(CI),DENSENAS_REQUIRE_XLA=1 DENSENAS_REQUIRE_ONNXRUNTIME=1) $(GO) run ./internal/testreport $(TAGS) ./...
ifeq ($(CGO),1)
	CGO_ENABLED=0 $(GO) build -tags noxla ./...
	CGO_ENABLED=0 $(GO) run ./internal/testreport -tags noxla ./internal/backends/... ./internal/onnxruntime ./cmd/profiler
	$(GO) run ./internal/testreport $(RACE_FLAGS) $(RACE)
endif
	$(if $(CI),@sh scripts/dist_test.sh)
	$(if $(CI),@sh scripts/demo_test.sh)

bench: ## Run the benchmarks
	$(GO) test $(TAGS) -run '^$$' -bench . -benchmem ./...

bench-peer: build ## Time a search's steps against a peer in PyTorch: PEER=FILE.py PYTHON=...
	@sh scripts/bench_peer.sh

lint: ## Check the format, vet and run staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted by gofmt: $$unformatted" >&2; exit 1; fi
	$(GO) vet $(TAGS) ./...
ifeq ($(CGO),1)
	$(GO) vet -tags noxla ./...
endif
	$(GO) tool staticcheck $(TAGS) ./...

xla: ## Get the plugin for XLA on the CPU, once per user
ifneq ($(CGO),1)
	@echo "no C compiler: the XLA backend cannot be built, so its plugin is of no use; install gcc or clang first" >&2; exit 1
endif
	@sh scripts/xla.sh cpu

onnxruntime: ## Get the library of ONNX Runtime, once per user
ifneq ($(CGO),1)
	@echo "no C compiler: ONNX Runtime cannot be reached, so its library is of no use; install gcc or clang first" >&2; exit 1
endif
	@sh scripts/onnxruntime.sh

clean: ## Remove what build, dist, demo and targets made
	rm -rf bin dist demo targets
