# edged: the commands of a developer. `make run` and `make test` do their own set-up on a bare Debian 12.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
# real clients and peers of the end-to-end tests and of bench/
# bind9, freeradius and nginx may start as services of this machine: no test needs their ports, each peer has its own elsewhere
APT_TEST := gcc libc6-dev python3-dev nftables iproute2 conntrack bind9 bind9-dnsutils dnsmasq-base curl freeradius freeradius-utils chromium firefox-esr libnss3-tools dbus-daemon procps libatomic1 pebble testssl.sh hostapd eapoltest radsecproxy zbar-tools postgresql keepalived nginx-light
APT_BENCH := dnsperf unbound openssl

INSTALL_EDGED = $(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .

# seconds of new seeds in `make test`
SIMULATED ?= 45
# of each property in `make test`; `make check` tries 40
EXAMPLES ?= 100

# what a store does is tested alone by `make check`, and once more while it is shared
STORES := $(foreach store,keys life overrides sessions signers,tests/unit/test_state_$(store).py) tests/property/test_key_store.py

.PHONY: run test test-image image deb test-deb lint-deb wheel test-wifi wifi-guest check unit e2e trials fmt lint types layers schema manual pictures lab lab-down bench clean lock apt-test

run: $(VENV)/run.stamp  ## start edged on loopback with the shipped example, without root
	@$(BIN)/edged run -c config/example/edged.yaml --try

test: apt-test $(VENV)/dev.stamp native network-manager prometheus ahead  ## everything: checks, loopback, end to end in namespaces and on radios
	@CI=$(CI) EXAMPLES=$(EXAMPLES) $(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory sanitize
	$(BIN)/python -m pytest -q tests/simulation --seconds $(SIMULATED)
	$(BIN)/python -m pytest -q -n auto --dist worksteal tests/loopback
	$(BIN)/python -m pytest -q -n auto --dist worksteal --engine postgresql $(STORES)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/e2e
	@CI=$(CI) $(MAKE) --no-print-directory test-image
	@CI=$(CI) $(MAKE) --no-print-directory test-deb
	@CI=$(CI) $(MAKE) --no-print-directory test-wifi

check: $(VENV)/dev.stamp fmt-check lint types layers unit  ## format, lint, types, layers, unit: under a minute

# compiled once, not by every worker of every run: tests, rewritten for their asserts, take half the time to be read
unit: export PYTHONDONTWRITEBYTECODE :=
unit: export PYTHONPYCACHEPREFIX := $(CURDIR)/.run/pycache
unit: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q -n auto --dist worksteal tests/test_architecture.py tests/unit tests/property

e2e: apt-test $(VENV)/dev.stamp network-manager
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/e2e

# a kernel and a Debian take minutes to make: they are made of the time that the tests before them leave
.PHONY: ahead
ahead: apt-test
	@$(call install,$(APT_WIFI) $(APT_PACKAGE))
	@mkdir -p .run
	@chrt --idle 0 $(MAKE) --no-print-directory -k wifi-guest package-base > .run/ahead.log 2>&1 &

# installed, it would take this machine's network over; unpacked, it runs in a namespace of the lab alone
.PHONY: network-manager
NETWORK_MANAGER := .run/network-manager
network-manager: $(NETWORK_MANAGER)/stamp
$(NETWORK_MANAGER)/stamp: | apt-test
	rm -rf $(NETWORK_MANAGER) && mkdir -p $(NETWORK_MANAGER)/packages
	apt-cache show network-manager >/dev/null 2>&1 || $(SUDO) apt-get update -q
	cd $(NETWORK_MANAGER)/packages && apt-get -qq -o APT::Sandbox::User=root download $$( \
	  { printf '%s\n' network-manager libnm0 libndp0; \
	    apt-get -s install --no-install-recommends network-manager | sed -nE 's/^Inst (lib[^ ]+) \(.*/\1/p'; } | sort -u)
	for package in $(NETWORK_MANAGER)/packages/*.deb; do dpkg-deb -x "$$package" $(NETWORK_MANAGER) || exit 1; done
	rm -r $(NETWORK_MANAGER)/packages && touch $@

# its package would start a service: unpacked beside the system, for promtool alone
.PHONY: prometheus
PROMETHEUS := .run/prometheus
prometheus: $(PROMETHEUS)/stamp  ## promtool, which judges /metrics, the alert rules and the expressions of the dashboards
$(PROMETHEUS)/stamp: | apt-test
	rm -rf $(PROMETHEUS) && mkdir -p $(PROMETHEUS)/packages
	apt-cache show prometheus >/dev/null 2>&1 || $(SUDO) apt-get update -q
	cd $(PROMETHEUS)/packages && apt-get -qq -o APT::Sandbox::User=root download prometheus
	dpkg-deb --fsys-tarfile $(PROMETHEUS)/packages/*.deb | tar -x -C $(PROMETHEUS) ./usr/bin/promtool
	rm -r $(PROMETHEUS)/packages && touch $@

# rlm_dpsk is younger than Debian 12: unpacked beside the system, with lists of packages of its own
.PHONY: freeradius
FREERADIUS := .run/freeradius
FREERADIUS_SUITE ?= bookworm-backports
freeradius: $(FREERADIUS)/stamp  ## FreeRADIUS 3.2.7 for bench/key_search.py
$(FREERADIUS)/stamp: | apt-test
	rm -rf $(FREERADIUS) && mkdir -p $(FREERADIUS)/apt/lists/partial $(FREERADIUS)/apt/archives/partial
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
	  "$$(apt-get indextargets --format '$$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)" \
	  "$(FREERADIUS_SUITE) main" > $(FREERADIUS)/apt/sources.list
	options="-q -o APT::Sandbox::User=root -o Dir::State=$(CURDIR)/$(FREERADIUS)/apt -o Dir::State::status=/var/lib/dpkg/status \
	  -o Dir::Cache=$(CURDIR)/$(FREERADIUS)/apt -o Dir::Etc::sourceparts=- -o Dir::Etc::sourcelist=$(CURDIR)/$(FREERADIUS)/apt/sources.list"; \
	apt-get $$options update && cd $(FREERADIUS)/apt/archives && \
	apt-get $$options download freeradius freeradius-common freeradius-config libfreeradius3
	for package in $(FREERADIUS)/apt/archives/*.deb; do dpkg-deb -x "$$package" $(FREERADIUS) || exit 1; done
	rm -r $(FREERADIUS)/apt && touch $@

# a kernel with simulated radios, and hostapd 2.11 beside Debian's 2.10; kept in WIFI_CACHE
WIFI_CACHE ?= .run/wifi
APT_WIFI := wpasupplicant iw busybox-static flex bison bc xz-utils
wifi-guest: | apt-test
	@$(call install,$(APT_WIFI))
	@apt-cache show linux-source-6.1 >/dev/null 2>&1 || $(SUDO) apt-get update -q
	@mkdir -p "$(WIFI_CACHE)"
	flock "$(WIFI_CACHE)/lock" tests/wifi/guest/build-kernel.sh "$(WIFI_CACHE)"
	flock "$(WIFI_CACHE)/lock" tests/wifi/guest/fetch-hostapd.sh "$(WIFI_CACHE)/hostapd-2.11"

test-wifi: wifi-guest $(VENV)/dev.stamp native  ## residents' devices join real hostapd on simulated radios (TESTS: files, -k)
	@WIFI_CACHE="$(WIFI_CACHE)" $(BIN)/python tests/wifi/run.py $(TESTS)

.PHONY: wifi-vectors
wifi-vectors:  ## what the last `make test-wifi` recorded -> tests/vectors/mpsk_wifi.json
	$(BIN)/python -m tests.wifi.wire "$(WIFI_CACHE)/out"

# for a container on a RouterOS router: docs/container.md. ARCH: one or several; kept downloads are in IMAGES
ARCH ?= $(shell dpkg --print-architecture)
IMAGES ?= .run/image
COMPILER_amd64 := gcc-x86-64-linux-gnu libc6-dev-amd64-cross
COMPILER_arm64 := gcc-aarch64-linux-gnu libc6-dev-arm64-cross
COMPILER_armhf := gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
COMPILER_$(shell dpkg --print-architecture) := gcc libc6-dev
image: | $(BIN)/python  ## $(IMAGES)/edged-ARCH.tar, for ARCH=amd64, arm64, armhf
	@$(call install,openssl $(foreach arch,$(ARCH),$(COMPILER_$(arch))))
	@apt-cache show iproute2 >/dev/null 2>&1 || $(SUDO) apt-get update -q
	for arch in $(ARCH); do PYTHON="$(CURDIR)/$(BIN)/python" config/container/build.sh $$arch "$(IMAGES)" || exit 1; done

test-image: image $(VENV)/dev.stamp  ## skopeo, umoci and runc judge the image and run it beside a stand-in router (root)
	@$(call install,skopeo umoci runc binutils $(if $(filter-out $(shell dpkg --print-architecture),$(ARCH)),qemu-user-static))
	IMAGES="$(IMAGES)" ARCH="$(ARCH)" $(BIN)/python -m pytest -q tests/container

# for docs/install.md: of this machine's architecture. SUITE: one or several; kept downloads are in PACKAGES
SUITE ?= bookworm
PACKAGES ?= .run/deb
deb: | $(BIN)/python  ## $(PACKAGES)/edged_VERSION_ARCH.deb, for SUITE=bookworm, trixie
	@$(call install,gcc libc6-dev python3-dev dpkg-dev)
	for suite in $(SUITE); do PYTHON="$(CURDIR)/$(BIN)/python" config/debian/build.sh $$suite "$(PACKAGES)" || exit 1; done

APT_PACKAGE := debootstrap eatmydata systemd-container
.PHONY: package-base
package-base: | apt-test
	@$(call install,$(APT_PACKAGE))
	@mkdir -p "$(PACKAGES)"
	for suite in $(SUITE); do flock "$(PACKAGES)/lock" tests/package/base.sh $$suite "$(PACKAGES)/$$suite/base" || exit 1; done

test-deb: deb package-base $(VENV)/dev.stamp  ## installs the package in a root of its suite, starts, upgrades, removes, purges it (root)
	for suite in $(SUITE); do \
	  PACKAGES="$(PACKAGES)" SUITE=$$suite $(BIN)/python -m pytest -q tests/package || exit 1; done

lint-deb: deb  ## lintian judges the package, and a second build of the same downloads must be the same; not part of `make test`
	@$(call install,lintian)
	for suite in $(SUITE); do \
	  package=$$(realpath $(PACKAGES)/$$suite/edged.deb) && lintian --fail-on error,warning $$package && \
	  rm -rf "$(PACKAGES)/again" && mkdir -p "$(PACKAGES)/again/$$suite" && \
	  cp -r "$(PACKAGES)/$$suite/wheels" "$(PACKAGES)/again/$$suite/" && (umask 077 && \
	  PYTHON="$(CURDIR)/$(BIN)/python" config/debian/build.sh $$suite "$(PACKAGES)/again") && \
	  cmp $$package "$(PACKAGES)/again/$${package##*/}" || exit 1; done

wheel: $(VENV)/run.stamp  ## dist/edged-VERSION-….whl, for pipx
	$(BIN)/pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w dist .

trials: apt-test $(VENV)/dev.stamp  ## which TLS alert makes browsers look for the page: the table of decision 0007 (up to an hour)
	$(BIN)/python tests/e2e/alert_trials.py $(TRIALS)

.PHONY: fmt-check
fmt-check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .

fmt: $(VENV)/dev.stamp  ## format the tree
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

layers: $(VENV)/dev.stamp
	$(BIN)/lint-imports

schema: $(VENV)/run.stamp  ## what is made of the program: config/edged.schema.json, docs/reference, edged/ops/alarms.md
	$(BIN)/python -m edged.cli schema > config/edged.schema.json
	sed -n '/^### `/,$$p' docs/troubleshooting.md > edged/ops/alarms.md
	$(BIN)/python -m config.manual.reference

# the tool has an environment of its own: nothing that the tests or the daemon load depends on it
MANUAL := .run/manual
manual: $(MANUAL)/venv/stamp  ## the manual as pages for a browser: $(MANUAL)/site/index.html, for offline reading
	$(MANUAL)/venv/bin/python -m config.manual.build $(MANUAL)

$(MANUAL)/venv/stamp: requirements-manual.lock | $(BIN)/python
	$(BIN)/python -m venv --clear $(MANUAL)/venv
	$(MANUAL)/venv/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-manual.lock
	@touch $@

pictures: $(VENV)/dev.stamp  ## those of the manual that show the program -> docs/pictures
	$(BIN)/python -m tests.manual_pictures

# the environment may be older than the compiler
.PHONY: native
native: apt-test $(VENV)/dev.stamp
	@$(BIN)/python -c 'import edged.native._datagrams, edged.native._keysearch' 2>/dev/null || $(INSTALL_EDGED)

.PHONY: sanitize
SANITIZED := .run/sanitized
NATIVE_TESTS := tests/loopback/test_dns_native.py tests/loopback/test_radius_native.py \
  tests/property/test_radius_native.py tests/property/test_keysearch.py
sanitize: apt-test $(VENV)/dev.stamp  ## edged/native with address and undefined-behaviour sanitizers, over its tests
	rm -rf $(SANITIZED) && mkdir -p $(SANITIZED) && cp -r edged tests pyproject.toml $(SANITIZED)
	for module in datagrams keysearch; do \
	  cc -g -O1 -std=gnu11 -Wall -Wextra -Wno-missing-field-initializers -Wno-cast-function-type -Werror \
	    -fsanitize=address,undefined -fno-sanitize-recover=all -fPIC -shared -pthread -DPy_LIMITED_API=0x030B0000 \
	    -I$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') edged/native/$$module.c \
	    -o $(SANITIZED)/edged/native/_$$module.abi3.so || exit 1; done
	cd $(SANITIZED) && ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
	  $(CURDIR)/$(BIN)/python -m pytest -q -p no:cacheprovider $(NATIVE_TESTS)

lab: apt-test $(VENV)/dev.stamp  ## subscribers, a router with edged and an "internet" in network namespaces (root); TOUR=--shell
	$(BIN)/python tests/e2e/tour.py $(TOUR)

lab-down:  ## remove every trace of the lab
	@if [ -x $(BIN)/python ]; then $(BIN)/python tests/e2e/tour.py --down; fi

bench: apt-test $(VENV)/dev.stamp freeradius  ## speed against the peers, in the same run
	@$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(APT_BENCH)
	for script in bench/*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script || exit 1; done

apt-test:
	@$(call install,$(APT_TEST))

define install
missing=$$(for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
if [ -n "$$missing" ]; then \
  $(SUDO) apt-get update -q && \
  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; fi
endef

# Debian's python3 may come without venv
$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.lock requirements-build.lock pyproject.toml $(wildcard edged/native/*.[ch]) | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-build.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(INSTALL_EDGED)
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

lock:  ## refresh the lock files (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  -q -o requirements.lock
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate -q -o requirements-dev.lock
	uv pip compile pyproject.toml --extra acme --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate -q -o requirements-acme.lock
	uv pip compile pyproject.toml --extra postgresql -c requirements.lock --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate -q -o requirements-postgresql.lock
	uv pip compile pyproject.toml --extra acme --extra postgresql -c requirements-acme.lock --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate -q -o requirements-package.lock
	uv pip compile pyproject.toml --extra probe --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate -q -o requirements-probe.lock
	echo zensical==0.0.73 | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  -q -o requirements-manual.lock
	echo setuptools | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  -q -o requirements-build.lock

clean:
	rm -f edged/native/*.so
	rm -rf $(VENV) .run build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
