#!/bin/sh
# Install facediff with its locked dependencies into the virtual environment $1: with uv where it is, else with pip.
set -eu
venv=$1

if command -v uv >/dev/null 2>&1; then
    echo "Installing into $venv with uv"
    [ -x "$venv/bin/python" ] || uv venv --quiet --python '>=3.11,<3.13' "$venv"
    # Compiled once here, because an environment may forbid Python to cache bytecode later.
    uv pip install --quiet --python "$venv/bin/python" --compile-bytecode --requirement requirements.lock
    uv pip install --quiet --python "$venv/bin/python" --no-deps --editable .
else
    if [ ! -x "$venv/bin/python" ]; then
        for candidate in python3.12 python3.11 python3 python; do
            if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
                python=$candidate
                break
            fi
        done
        [ -n "${python:-}" ] || { echo "facediff needs Python 3.11 or 3.12, or uv" >&2; exit 1; }
        "$python" -m venv "$venv"
    fi
    echo "Installing into $venv with pip"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable .
fi
"$venv/bin/python" -m compileall -q facediff facediff_cli stages
