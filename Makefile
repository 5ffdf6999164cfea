# `make` lists what there is to do.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# For how long `make fuzz` feeds each fuzz target.
FUZZTIME ?= 30s
# How often it tries to shorten an input that found something, each time: a minute, Go's default, is longer
# than FUZZTIME.
FUZZMINIMIZE ?= 20x
# What `make run` passes on: make run ARGS='--listen 127.0.0.1:9000'
ARGS ?=
# For `make million`: the clients, anything to force the guest, further flags.
N ?= 1000000
GUEST ?=
MILLION_ARGS ?=
# For `make bench-ratios`: make bench-ratios RATIOS_ARGS='-rounds 9'
RATIOS_ARGS ?=
# For `make torture`: for how long, and further flags, such as -torture.seed 7
TORTURE_TIME ?= 30m
TORTURE_ARGS ?=
# Rounds in each setting of `make nightly`.
ROUNDS ?= 1000
# Most tests wait for processes and deadlines, not for a CPU: so many packages at a time,
# and so many tests of each of those that may run beside others.
WAITING ?= -p 3 -parallel 8
# The tests of ./gateway that `make test` runs over TLS as well: what depends on how much a client reads, and when a
# connection ends. `make test-tls` and `make race` run all of them over TLS.
OVER_TLS ?= Slow|Latest|Drop|Overrun|CatchUp|CatchingUp|Resum|Batch|Clos|Bye|Drain|Limit|Rate|Ping|Pong|Heartbeat|Conformance|HalfClosed|EndAt
# Debian packages and the program of each that the tests start.
PACKAGES := redis-server:redis-server redis-tools:redis-cli curl:curl
# What interop needs beside them, and a file of each.
INTEROP_PACKAGES := chromium:chromium nginx-light:/usr/sbin/nginx \
	libnginx-mod-nchan:/usr/lib/nginx/modules/ngx_nchan_module.so libnginx-mod-stream:/usr/lib/nginx/modules/ngx_stream_module.so \
	haproxy:/usr/sbin/haproxy openssl:openssl \
	python3-websockets:/usr/lib/python3/dist-packages/websockets nodejs:node npm:npm prometheus:prometheus netcat-openbsd:nc
# What bench-peers needs beside them, and a file of each.
PEER_PACKAGES := nginx-light:/usr/sbin/nginx libnginx-mod-nchan:/usr/lib/nginx/modules/ngx_nchan_module.so haproxy:/usr/sbin/haproxy
# What the guest of `make million` needs beside them, and a file of each.
GUEST_PACKAGES := qemu-system-x86:qemu-system-x86_64 busybox-static:/usr/share/doc/busybox-static cpio:cpio
# For `make bench-peers`: further flags, such as -transport sse -n 5000.
PEERS_ARGS ?=

.PHONY: help
help: ## list the targets
	@echo 'Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F '\t' '{ printf "  %-15s %s\n", $$1, $$2 }'

.PHONY: build
build: ## build bin/gateway and bin/loadgen, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/gateway ./cmd/loadgen

.PHONY: run
run: build ## build and run the gateway with an embedded Redis
	bin/gateway serve $(ARGS)

.PHONY: deps
deps: ## install the programs that the tests start (as root), or name them
	@missing=; for p in $(PACKAGES); do \
		command -v "$${p#*:}" >/dev/null || test -e "$${p#*:}" || missing="$$missing $${p%%:*}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else \
		echo "these packages are needed, install them first:$$missing" >&2; exit 1; fi

.PHONY: deps-peers
deps-peers: ## the same for bench-peers, nginx with nchan included
	@$(MAKE) --no-print-directory deps PACKAGES='$(PACKAGES) $(PEER_PACKAGES)'

.PHONY: test
test: deps ## run all tests, the house rules included
	$(GO) test $(WAITING) -timeout 30m ./...
	$(GO) test $(WAITING) -timeout 30m -run '$(OVER_TLS)' -skip '^TestAttack' ./gateway -args -tls

.PHONY: test-tls
test-tls: deps ## run all tests of ./gateway over TLS
	$(GO) test $(WAITING) -timeout 30m ./gateway -args -tls

.PHONY: deps-interop
deps-interop: ## the same for interop: a browser, proxies, client libraries
	@$(MAKE) --no-print-directory deps PACKAGES='$(PACKAGES) $(INTEROP_PACKAGES)'

.PHONY: interop
interop: deps-interop ## have a browser, proxies and other people's clients talk to the gateway
	INTEROP=1 $(GO) test -count=1 -v -timeout 30m ./test/interop

.PHONY: interop-tls
interop-tls: deps-interop ## the part of it over TLS: curl, openssl, Python, Node and Chromium on all transports
	INTEROP=1 $(GO) test -count=1 -v -timeout 10m -run '^TestTLS' ./test/interop

.PHONY: test-peers
test-peers: deps ## compare the gateway with the other servers that are here, in small
	cd bench/peers && $(GO) test -count=1 ./...

.PHONY: race
race: deps ## run the tests with the race detector, those of ./gateway over TLS as well, without the long ones (needs gcc)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m ./...
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m ./gateway -args -tls

.PHONY: chaos
chaos: deps ## cut connections off at random points for CHAOS_TIME (default 60s)
	CHAOS_TIME=$${CHAOS_TIME:-60s} $(GO) test -count=1 -v -run '^TestChaos$$' ./gateway

.PHONY: torture
torture: deps ## let random clients loose on a gateway with the race detector for TORTURE_TIME (default 30m; needs gcc)
	CGO_ENABLED=1 $(GO) test -count=1 -v -timeout 25h -run '^TestTorture$$' ./test/torture -args -torture.race -torture.time $(TORTURE_TIME) $(TORTURE_ARGS)

.PHONY: nightly
nightly: deps ## let clients break off and come back for thousands of rounds (ROUNDS, default 1000 a setting)
	$(GO) test ./gateway -run '^TestResume$$' -rounds $(ROUNDS) -timeout 12h

.PHONY: attacks
attacks: deps ## attack a gateway in full size, print the figures and write those of docs/SECURITY.md (5 minutes)
	@failed=; \
	$(GO) test -count=1 -v -timeout 20m ./test/attacks -args -attacks.long -attacks.write || failed=1; \
	$(GO) test -count=1 -v -timeout 10m -run '^TestAttack' ./gateway -args -attacks.long || failed=1; \
	[ -z "$$failed" ]

.PHONY: drain
drain: deps ## stop a gateway with 15,000 clients and print how they were closed
	$(GO) test -count=1 -v -timeout 10m -run '^TestDrainOfMany$$' ./cmd/gateway -args -drain.long

.PHONY: restarts
restarts: deps-interop ## restart two gateways with 1,000 clients behind nginx and HAProxy and print who was away for how long
	$(GO) test -count=1 -v -timeout 20m -run '^TestRollingRestart$$' ./test/interop -args -restart.long

.PHONY: fuzz
fuzz: ## feed each fuzz target for FUZZTIME (default 30s)
	@for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$package"/*_test.go); do \
			echo "fuzz $$package $$target"; \
			$(GO) test "$$package" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime $(FUZZMINIMIZE); \
		done; \
	done

.PHONY: fuzz-long
fuzz-long: ## feed each fuzz target for ten minutes
	$(MAKE) fuzz FUZZTIME=10m

.PHONY: bench
bench: ## run every Go benchmark
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-ratios bench-bare
bench-ratios: build ## measure against a bare loop in repeated runs and print the ratios
	$(GO) run ./bench ratios $(RATIOS_ARGS)

bench-bare: bench-ratios ## the same

.PHONY: bench-collector
bench-collector: ## measure what Go's collector does to the event loops at a million connections, and costs with full rings
	$(GO) test -count=1 -v -run '^(TestLoopLagDuringCollections|TestCostOfCollectingForRings)$$' ./gateway -args -collector.long

.PHONY: bench-catchup
bench-catchup: ## have 5,000 clients come back at once and print when all have caught up
	$(GO) run ./bench catchup

.PHONY: bench-peers
bench-peers: build deps-peers ## compare the gateway with other servers and write docs/BENCHMARKS.md (22 minutes)
	cd bench/peers && CGO_ENABLED=0 $(GO) build -trimpath -o ../../bin/peers .
	bin/peers $(PEERS_ARGS)

.PHONY: deps-million
deps-million: ## the same for million, with what an emulated Linux takes
	@$(MAKE) --no-print-directory deps PACKAGES='$(PACKAGES) $(GUEST_PACKAGES)'

.PHONY: million
million: build deps ## hold N clients (default 1000000), in an emulated Linux where need be or with GUEST=1, and write docs/MILLION.md
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./bench
	@if [ "$$(bin/bench million -n $(N) $(if $(GUEST),-guest) $(MILLION_ARGS) -where)" = guest ]; then \
		$(MAKE) --no-print-directory deps-million; fi
	bin/bench million -n $(N) $(if $(GUEST),-guest) $(MILLION_ARGS)

.PHONY: lint
lint: ## run go vet and the house rules, which include gofmt
	$(GO) vet ./...
	cd bench/peers && $(GO) vet ./...
	$(GO) test -count=1 ./internal/house

.PHONY: clean
clean: ## remove what was built
	rm -rf bin out
