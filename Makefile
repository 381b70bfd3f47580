# The two commands for everyone: `make demo` and `make test`. Each does all of its own set-up.
.DEFAULT_GOAL := help
PY := .venv/bin/python
ROOMS := metrology store gateway verifier api simulators meterproof

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: runtime  ## run the whole system on a simulated mini city; ARGS=--once ends by itself with a summary
	@.venv/bin/meterproof demo $(ARGS)

test: dev browser mosquitto lint  ## style, types, import rules, and every test on a real database and broker
	$(PY) -m pytest -m "not slow" $(ARGS)

test-timescale: dev mosquitto  ## the tests that touch the database, on a real TimescaleDB
	$(PY) scripts/with_timescale.py $(PY) -m pytest -m "not slow and not browser" tests/integration tests/migration $(ARGS)

test-slow: dev browser mosquitto  ## the long campaigns
	$(PY) -m pytest -m slow $(ARGS)

lint: dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench-metrology: dev  ## MPE and conformity over 10 million points against plain numpy
	$(PY) tests/benchmarks/bench_metrology.py

bench-store: dev  ## ways into the database side by side
	$(PY) tests/benchmarks/bench_store.py

bench-gateway: dev  ## decoding and assembly side by side
	$(PY) tests/benchmarks/bench_gateway_decode.py

bench-ingest: dev mosquitto  ## from the broker into the database beside COPY, Node-RED and mq-bridge; ARGS=--quick
	$(PY) tests/benchmarks/bench_ingest.py $(ARGS)

bench-brokers: dev mosquitto  ## what a killed broker loses of what it acknowledged
	$(PY) tests/benchmarks/broker_loss.py

bench-memory: dev  ## the gateway's memory over millions of readings
	$(PY) tests/benchmarks/gateway_memory.py

bench-balance: benchmarks  ## the zone balance beside its peers on power flows and hydraulics, 20 min; ARGS=--quick
	.venv-benchmarks/bin/python tests/benchmarks/bench_balance.py $(ARGS)

bench-balance-speed: benchmarks  ## what a day of the zone balance costs beside its peers; ARGS=--quick
	.venv-benchmarks/bin/python tests/benchmarks/bench_balance_speed.py $(ARGS)

bench-balance-simulated: dev  ## the zone balance against zones of the simulator
	$(PY) tests/benchmarks/bench_zone_balance.py

bench-low-flow: dev  ## lost small flow on households and real meters that nothing was tuned on; ARGS="--swm FILE"
	$(PY) tests/benchmarks/bench_low_flow.py $(ARGS)

test-benchmarks: benchmarks  ## the physics of the benchmark's zones against pandapower and WNTR, and its peers
	.venv-benchmarks/bin/python -m pytest -o python_files="check_*.py" -o python_functions="check_*" \
	  tests/benchmarks/zones/checks $(ARGS)

fuzz: dev  ## fuzz every codec with atheris, guided by coverage; SECONDS=120, CODECS="dlt645 cjt188"
	@test -d .venv-fuzz || $(PY) -m venv .venv-fuzz
	@if .venv-fuzz/bin/python -m pip install -q --only-binary :all: "atheris==3.0.0"; then \
	  PYTHONPATH=$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	    .venv-fuzz/bin/python tests/fuzz/fuzz_codecs.py --seconds $(or $(SECONDS),120) $(CODECS); \
	else echo "skipped: no wheel of atheris for this system can be had; the property tests of make test remain"; fi

bench-repair: dev  ## readings collected and clocks, with and without the repair of gaps
	$(PY) tests/benchmarks/bench_gap_repair.py

docs: dev  ## write the generated pages anew
	$(PY) scripts/generate_docs.py

lock:  ## resolve the locked requirements anew (needs uv)
	for kind in runtime dev benchmarks; do \
	  extra="--extra $$kind"; [ $$kind = runtime ] && extra="--extra embedded --extra figures"; \
	  uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header --no-annotate $$extra pyproject.toml requirements/build.in \
	    -o requirements/$$kind.txt || exit 1; \
	done

runtime:
	@scripts/bootstrap runtime

dev:
	@scripts/bootstrap dev

benchmarks:
	@METERPROOF_VENV=.venv-benchmarks scripts/bootstrap benchmarks

browser: dev
	@scripts/browser

mosquitto: dev
	@scripts/mosquitto

clean:  ## remove what the commands made, the demo's data included
	@if [ -x $(PY) ]; then $(PY) -m meterproof.embedded; fi
	rm -rf .venv .venv-fuzz .venv-benchmarks .cache var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help demo test test-timescale test-slow test-benchmarks lint bench-metrology bench-store bench-gateway bench-ingest bench-repair bench-balance bench-balance-speed bench-balance-simulated bench-brokers bench-memory docs lock runtime dev benchmarks browser mosquitto clean fuzz
