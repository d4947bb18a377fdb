# Everything here needs Go, make and git; the race detector also needs a C compiler.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME   ?= 20s

.PHONY: help web build demo test pictures race lint fuzz forge sabotage exfriend bits slow simulate size crash mongo grow growth archive bench figures cover clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

web: ## build the web client, which the node embeds
	go generate ./client/web

# Nothing of ours needs HTTP/2, and without it each program is half a megabyte smaller.
build: web ## build bin/peerbrain-node and bin/peerbrain
	CGO_ENABLED=0 go build -tags nethttpomithttp2 -trimpath -ldflags "-s -w" -o bin/ ./node/peerbrain-node ./client/peerbrain

demo: build ## run two nodes and a friendship on localhost (ONCE=1: end after the story)
	bin/peerbrain-node demo $(if $(filter 1,$(ONCE)),--once)

test: web ## run all tests
	go test -timeout 25m ./...

# The tests of the page make them; those that README shows are docs/pictures.
pictures: web ## make pictures of each view of the page, in the folder DIR
	@test -n "$(DIR)" || { echo 'where? make pictures DIR=folder' >&2; exit 2; }
	PEERBRAIN_TEST_PICTURES=$(abspath $(DIR)) go test -count=1 -timeout 15m -run '^TestPage' ./node/story

race: web ## run all tests with the race detector
	CGO_ENABLED=1 go test -race -timeout 30m ./...

lint: ## check format, vet and staticcheck
	@files=$$(gofmt -l .) || exit 1; test -z "$$files" || { echo "not formatted:" $$files >&2; exit 1; }
	go vet ./...
	GOOS=js GOARCH=wasm go vet ./client/web/wasm
	$(STATICCHECK) ./...

# A run that only overstepped its time is tried once more: go.dev/issue/75804.
fuzz: ## run every fuzz target for FUZZTIME (20s)
	@list=$$(go test -run '^$$' -list '^Fuzz' ./...) || { echo "$$list" >&2; exit 1; }; \
	log=$$(mktemp); trap 'rm -f "$$log"' EXIT; n=0; failed=; \
	run() { echo "$$2 in $$1"; go test -run '^$$' -fuzz "^$$2\$$" -fuzztime $(FUZZTIME) "$$1" >"$$log" 2>&1; }; \
	overtime() { grep -q 'context deadline exceeded' "$$log" && ! grep -q 'Failing input' "$$log"; }; \
	for at in $$(echo "$$list" | awk '/^Fuzz/ {t[n++] = $$1} /^ok/ {for (i = 0; i < n; i++) print $$2 "=" t[i]; n = 0}'); do \
		run $${at%=*} $${at#*=} || { overtime && run $${at%=*} $${at#*=}; } || { cat "$$log" >&2; failed="$$failed $${at#*=}"; }; \
		grep 'elapsed:' "$$log" | tail -n 1; n=$$((n + 1)); \
	done; \
	test $$n -gt 0 || { echo "no fuzz targets found" >&2; exit 1; }; \
	test -z "$$failed" || { echo "$$n fuzz targets, failed:$$failed" >&2; exit 1; }; \
	echo "$$n fuzz targets, none failed"

forge: ## send every forgery to a running development node (NODE=host:port)
	@test -n "$(NODE)" || { echo 'which node? make forge NODE=localhost:8081' >&2; exit 2; }
	go test -count=1 -timeout 10m -v -run '^TestForge$$' ./node -args -node=$(NODE)

# ONLY=REGEXP chooses by file and name, SAMPLE=N at random, SEED=N the same again.
sabotage: ## remove each verification in turn: tests must fail (ONLY, SAMPLE, SEED)
	PEERBRAIN_SABOTAGE="$(or $(ONLY),1)" PEERBRAIN_SABOTAGE_SAMPLE="$(SAMPLE)" PEERBRAIN_SABOTAGE_SEED="$(SEED)" \
		go test -count=1 -v -timeout 2h -run '^TestSabotage$$' ./node/story

exfriend: ## play HISTORIES (10000) random friendships against ex-friends
	HISTORIES=$(or $(HISTORIES),10000) go test -count=1 -timeout 0 -v -run '^TestExFriends$$' ./client

bits: ## flip every bit of every record that a client is shown
	EVERY_BIT=1 go test -count=1 -timeout 60m -v -run '^TestEveryBit$$' ./client

slow: ## hold 10,000 slow connections to a node
	SLOW_CLIENTS=10000 go test -count=1 -v -run '^TestSlowClients$$' ./node/story

# Each of the two needs one processor.
simulate: ## play SEEDS (10000) simulated networks with faults, and HISTORIES (100000) of friendships
	@run() { go test -count=1 -timeout 0 -v -run "^$$1\$$" ./node; }; \
	SEEDS=$(or $(SEEDS),10000) run TestSimulate & \
	HISTORIES=$(or $(HISTORIES),100000) run TestFriendshipHistories; histories=$$?; \
	wait $$! && test $$histories -eq 0

size: ## simulate days of networks of 200 to 1,000 nodes, and draw docs/size.svg
	SIZE_PLOT=$(abspath docs/size.svg) go test -count=1 -timeout 60m -v -run '^TestSize$$' ./node

# FAULTS=1 builds nodes with faults instead, each of which the loop has to find.
crash: ## kill a node KILLS (10000) times under load: what it acknowledged is there
	KILLS=$(or $(KILLS),10000) go test -count=1 -timeout 0 -v -run '^TestCrash$(if $(filter 1,$(FAULTS)),Notices)$$' ./node/story

# The server is built outside of the repository and is no part of it. Where it
# cannot be had either, that is said, and nothing is run. Nodes are killed on it a few
# times; with MONGO_KILLS=N at least N times, at each place, and the figures are printed.
mongo: ## run the tests that need MongoDB, against a server on the PATH or one that is built (MONGO_KILLS)
	@set -e; run() { \
		go test -count=1 -timeout 30m ./node/store/mongo; \
		go test -count=1 -timeout 30m -run 'OnMongoDB|AnotherDatabase|ForeignData' ./node; \
		go test -count=1 $(if $(MONGO_KILLS),-v -timeout 0,-timeout 30m) -run 'OnMongoDB|TwoProcesses' ./node/story; \
	}; \
	if [ -n "$$PEERBRAIN_TEST_MONGODB_URI" ] || command -v mongod || command -v ferretdb; then run; exit; fi; \
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	if (cd "$$dir" && \
		cp -r "$$(go mod download -json github.com/FerretDB/FerretDB@v1.24.2 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')" source && \
		chmod -R u+w source && cd source && echo v1.24.2 >build/version/version.txt && \
		CGO_ENABLED=0 go build -o "$$dir/ferretdb" ./cmd/ferretdb) >"$$dir/log" 2>&1; \
	then PATH="$$dir:$$PATH"; run; \
	else tail -n 5 "$$dir/log"; echo '!! SKIPPED: no server that speaks the protocol of MongoDB is here, and none can be built'; fi

# Each benchmark measures its own rounds, so one run of each is enough. What goes
# wrong is printed, and ends with 1.
bench: ## measure everything, and print the tables of docs/benchmarks.md (Linux)
	@go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./node/story | \
		awk '/^[|#]/ || /^$$/ && last != "" {print; fflush()} /panic|FAIL|_test.go:/ {print; bad = 1} {last = $$0} /^ok/ {done = 1} END {exit bad || !done}'

grow: ## make a store of POSTS (1000000) by PEOPLE (10000) with FRIENDS (200) each in the folder DATA
	@test -n "$(DATA)" || { echo 'where? make grow DATA=folder' >&2; exit 2; }
	PEERBRAIN_TEST_GROW=$(abspath $(DATA)) PEERBRAIN_TEST_POSTS=$(or $(POSTS),1000000) PEERBRAIN_TEST_PEOPLE=$(or $(PEOPLE),10000) PEERBRAIN_TEST_FRIENDS=$(or $(FRIENDS),200) \
		go test ./node -timeout 120m -run '^$$' -bench '^BenchmarkGrow$$' -benchtime 1x

growth: ## measure a node on stores that grow made, in the folders DATA ("small large"; Linux)
	@test -n "$(DATA)" || { echo 'where? make growth DATA="folder folder"' >&2; exit 2; }
	PEERBRAIN_TEST_GROWTH="$(abspath $(DATA))" go test ./node/story -timeout 120m -run '^$$' -bench '^BenchmarkGrowth$$' -benchtime 1x

archive: ## back up and restore a store of MIB (1024) MiB, and measure both
	BACKUP_BENCH=$(or $(MIB),1024) go test ./node -timeout 60m -run '^$$' -bench '^BenchmarkBackup$$' -benchtime 1x

figures: ## print the sizes and rules that the house is held to, and where we are
	go test -count=1 -v -run '^TestFigures$$' ./node/story

cover: ## print the coverage of each package by all tests
	go test -cover -coverpkg ./... ./...

clean: ## remove what web, build and demo made
	rm -rf bin demo-data
	find client/web/dist -mindepth 1 ! -name .gitignore -delete
