import importlib.util
from pathlib import Path

import pytest

GENERATOR = Path(__file__).resolve().parents[2] / "manifests" / "generate.py"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_schemas", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_schemas_are_current(generator):
    committed = {path.name: path.read_text("utf-8") for path in generator.SCHEMA_FOLDER.glob("*.json")}
    assert committed == generator.make_schemas(), "run: make schemas"
