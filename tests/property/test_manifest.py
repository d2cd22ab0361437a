import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stages.common.manifest import (
    Artifact,
    ArtifactKind,
    Counts,
    InputRef,
    OutputFile,
    StageRef,
    compute_artifact_id,
    compute_run_key,
    write_atomically,
)
from stages.common.plan import plan

STAGE = StageRef(name="toy", version=1)
HASHES = st.integers(0, 2**64).map("{:064x}".format)
CONFIGS = st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.lists(st.integers()), max_size=6)
INPUTS = st.builds(InputRef, role=st.text(min_size=1), kind=st.sampled_from(ArtifactKind), id=HASHES)
OUTPUTS = st.lists(
    st.builds(
        OutputFile, path=st.text(min_size=1), sha256=HASHES, bytes=st.integers(0, 2**40), count=st.integers(0, 99)
    ),
    unique_by=lambda output: output.path,
    max_size=8,
)


@given(CONFIGS, st.integers(0), st.lists(INPUTS, max_size=4), st.randoms(use_true_random=False))
def test_run_keys_ignore_the_order_of_fields_and_inputs(config, seed, inputs, random):
    key = compute_run_key(STAGE, config, seed, tuple(inputs))
    shuffled = dict(random.sample(list(config.items()), len(config)))
    assert compute_run_key(STAGE, shuffled, seed, tuple(random.sample(inputs, len(inputs)))) == key


@given(CONFIGS, st.integers(0), st.lists(INPUTS, min_size=1, max_size=4), HASHES)
def test_run_keys_notice_everything_that_decides_a_result(config, seed, inputs, other_id):
    key = compute_run_key(STAGE, config, seed, tuple(inputs))
    assert compute_run_key(StageRef(name="toy", version=2), config, seed, tuple(inputs)) != key
    assert compute_run_key(STAGE, config, seed + 1, tuple(inputs)) != key
    assert compute_run_key(STAGE, config | {"one more field": 0}, seed, tuple(inputs)) != key
    changed = (inputs[0].model_copy(update={"id": other_id}), *inputs[1:])
    assert (compute_run_key(STAGE, config, seed, changed) == key) is (inputs[0].id == other_id)


def test_run_keys_ignore_where_things_lie(toy, tmp_path):
    elsewhere = {role: Artifact(artifact.manifest, tmp_path / "moved") for role, artifact in toy.inputs.items()}
    here = plan(toy.spec, toy.config, toy.inputs, toy.out)
    there = plan(toy.spec, toy.config, elsewhere, tmp_path / "another" / "place")
    assert here.run_key == there.run_key


@given(OUTPUTS, st.randoms(use_true_random=False))
def test_artifact_ids_ignore_the_order_of_files(outputs, random):
    shuffled = random.sample(outputs, len(outputs))
    assert compute_artifact_id(tuple(shuffled)) == compute_artifact_id(tuple(outputs))


@given(OUTPUTS.filter(bool), HASHES)
def test_artifact_ids_change_exactly_when_a_hash_changes(outputs, other):
    changed = (outputs[0].model_copy(update={"sha256": other}), *outputs[1:])
    same = compute_artifact_id(changed) == compute_artifact_id(tuple(outputs))
    assert same is (other == outputs[0].sha256)


@given(st.integers(0, 99), st.dictionaries(st.text(), st.integers(0, 99)), st.integers(-3, 3))
def test_counts_hold_their_sum(ok, rejected, error):
    total = ok + sum(rejected.values()) + error
    if error:
        with pytest.raises(ValidationError):
            Counts(total=total, ok=ok, rejected_by_reason=rejected)
    else:
        assert Counts(total=total, ok=ok, rejected_by_reason=rejected).total == total


@given(st.binary(), st.binary(), st.sampled_from(["fsync", "rename", "none"]))
def test_an_interrupted_write_leaves_the_old_or_the_new_bytes(old, new, dies_at):
    class DiedError(Exception):
        pass

    def die(*_arguments):
        raise DiedError

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        path = Path(folder) / "file"
        path.write_bytes(old)
        if dies_at == "fsync":
            monkeypatch.setattr(os, "fsync", die)
        if dies_at == "rename":
            monkeypatch.setattr(Path, "replace", die)
        if dies_at == "none":
            write_atomically(path, new)
        else:
            with pytest.raises(DiedError):
                write_atomically(path, new)
        assert path.read_bytes() == (new if dies_at == "none" else old)
