# make demo: a simulated head scan from DICOM to a susceptibility map. make test: all tests. Both need Python 3.11 and nothing else.
SHELL := bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
ENGINE := PATH="$(CURDIR)/.venv/bin:$$PATH"
HEAD := --shape 120 144 64 --voxel-size 1.5 1.5 2.2 --tilt 20 --seed 1

.PHONY: setup demo test lint docs lock clean

setup:
	@$(PYTHON) bootstrap/setup.py

demo: setup
	@$(ENGINE) .venv/bin/python bootstrap/demo.py $(HEAD)

test: setup
	@$(ENGINE) .venv/bin/python -m pytest tests

lint: setup
	@$(ENGINE) .venv/bin/nextflow lint main.nf modules nextflow.config conf
	@PYTHONPATH=bin .venv/bin/lint-imports

docs: setup
	@.venv/bin/python bootstrap/parameters.py

lock: setup
	@cd requirements && export UV_CUSTOM_COMPILE_COMMAND='make lock' && pin='../.venv/bin/uv pip compile -q --upgrade --universal --generate-hashes --no-annotate --python-version 3.11' \
	&& $$pin develop.in -o develop.txt && for part in torch light uv; do $$pin -c develop.txt $$part.in -o $$part.txt; done

clean:
	@rm -rf .venv demo work .nextflow .nextflow.log* .pytest_cache .import_linter_cache
	@find . -path ./.git -prune -o -name __pycache__ -prune -exec rm -rf {} +
