import json

import pytest
from pydantic import ValidationError

from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.manifest import ArtifactKind, Counts, describe_outputs, find_problems, load_artifact


@pytest.fixture
def artifact(toy):
    return execute(toy.spec, toy.config, toy.inputs, toy.out)


def rewrite(artifact, **fields):
    path = artifact.root / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields))
    return load_artifact(artifact.root)


def test_counts_add_up():
    assert Counts(total=5, ok=2, rejected_by_reason={"blurred": 1, "no_face": 2}).total == 5
    with pytest.raises(ValidationError, match="ok plus rejected"):
        Counts(total=5, ok=2, rejected_by_reason={"blurred": 1})


def test_an_untouched_artifact_has_no_problems(artifact):
    assert find_problems(load_artifact(artifact.root)) == []


def test_altered_shortened_and_missing_files_are_each_named(artifact):
    (artifact.root / "0.txt").write_text("X 0 0")
    (artifact.root / "1.txt").write_text("x")
    (artifact.root / "2.txt").unlink()
    assert find_problems(artifact) == [
        "0.txt: content differs from its SHA-256",
        "1.txt: 1 bytes, expected 5",
        "2.txt: missing",
    ]


def test_an_edited_manifest_does_not_follow_from_itself(artifact):
    config = dict(artifact.manifest.config) | {"text": "other"}
    assert find_problems(rewrite(artifact, config=config)) == [
        "manifest.json: run_key does not follow from config, seed and inputs"
    ]
    forged = rewrite(artifact, config=artifact.manifest.config, artifact_id="0" * 64)
    assert find_problems(forged) == ["manifest.json: artifact_id does not follow from the outputs"]


def test_manifests_and_parents_are_no_outputs(artifact):
    assert [o.path for o in describe_outputs(artifact.root, {})] == ["0.txt", "1.txt", "2.txt"]


def test_a_manifest_holds_no_path_of_this_machine(artifact):
    assert str(artifact.root) not in (artifact.root / "manifest.json").read_text()


def test_load_artifact_takes_the_folder_or_its_manifest(artifact):
    assert load_artifact(artifact.root / "manifest.json") == load_artifact(artifact.root)


def test_load_artifact_refuses_another_kind(artifact):
    with pytest.raises(BadInputError, match="holds faces, but shards is needed"):
        load_artifact(artifact.root, ArtifactKind.SHARDS)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "faces"}'])
def test_load_artifact_refuses_what_is_no_manifest(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(BadInputError, match="not a facediff manifest"):
        load_artifact(tmp_path)


def test_load_artifact_refuses_unknown_fields(artifact):
    with pytest.raises(BadInputError, match="1 invalid fields"):
        rewrite(artifact, surprise=1)


def test_load_artifact_without_a_manifest(tmp_path):
    with pytest.raises(BadInputError, match="no manifest"):
        load_artifact(tmp_path)
