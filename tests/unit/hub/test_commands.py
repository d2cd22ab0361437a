"""``facediff models push`` and ``pull`` as a user gives them."""

import json

import pytest

from facediff_cli.main import main
from stages.common.weights import list_models


@pytest.fixture
def facediff(capsys):
    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in (*arguments, "--json")])
        captured = capsys.readouterr()
        return code, json.loads(captured.out), captured.err

    return run


def test_push_then_pull(facediff, hub, model, store):
    code, planned, _ = facediff("models", "push", model.root, "me/faces", "--dry-run")
    assert code == 0
    assert "README.md" in planned["files"]
    assert hub.requests == []
    code, sent, _ = facediff("models", "push", model.root, "me/faces")
    assert code == 0
    assert sent["commit"] == hub.commit_of("me/faces")
    code, planned, _ = facediff("models", "pull", "me/faces", "--dry-run")
    assert (code, planned["path"]) == (0, str(store / "models" / "faces"))
    assert not store.exists()
    code, pulled, progress = facediff("models", "pull", "me/faces", "--name", "mine")
    assert code == 0
    assert pulled["artifact_id"] == model.manifest.artifact_id
    assert [entry.name for entry in list_models()] == ["mine"]
    assert f"pull mine: {pulled['bytes']}/{pulled['bytes']}" in progress
    assert facediff("models", "verify", "mine")[0] == 0


def test_exit_codes(facediff, hub, model):
    assert facediff("models", "pull", "me/none")[0] == 6
    assert facediff("models", "pull", "none")[0] == 2
    assert facediff("models", "push", "none", "me/faces")[0] == 6
    hub.down = True
    code, _, told = facediff("models", "push", model.root, "me/faces")
    assert code == 2
    assert len(told.splitlines()) == 1
