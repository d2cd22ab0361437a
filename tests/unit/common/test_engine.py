import fcntl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from stages.common.engine import execute
from stages.common.errors import BadInputError, Interrupted, ResumeConflictError
from stages.common.manifest import ArtifactKind, find_problems, load_artifact, load_parents
from stages.common.plan import PlanStatus, plan


def partial_of(out):
    return out.with_name(out.name + ".partial")


def stop_after(calls):
    left = iter([False] * calls)
    return lambda: next(left, True)


def forbidden_run(_config, _inputs, _context):
    raise AssertionError("the stage ran")


def test_plan_writes_nothing(toy):
    before = sorted(toy.out.parent.iterdir())
    assert plan(toy.spec, toy.config, toy.inputs, toy.out).status is PlanStatus.NEW
    assert sorted(toy.out.parent.iterdir()) == before


def test_execute_commits_exactly_what_the_stage_left(toy):
    artifact = execute(toy.spec, toy.config, toy.inputs, toy.out, seed=5)
    assert artifact.root == toy.out
    assert artifact.manifest.kind is ArtifactKind.FACES
    assert [(o.path, o.count) for o in artifact.manifest.outputs] == [("0.txt", 7), ("1.txt", 1), ("2.txt", 1)]
    assert {p.name for p in toy.out.iterdir()} == {"0.txt", "1.txt", "2.txt", "manifest.json", "parents"}
    assert (toy.out / "2.txt").read_text() == "x 5 2"
    assert not partial_of(toy.out).exists()
    assert find_problems(artifact) == []


def test_the_same_run_again_is_up_to_date_and_does_not_run(toy):
    first = execute(toy.spec, toy.config, toy.inputs, toy.out)
    again = execute(replace(toy.spec, run=forbidden_run), toy.config, toy.inputs, toy.out)
    assert again.manifest == first.manifest
    assert plan(toy.spec, toy.config, toy.inputs, toy.out).status is PlanStatus.UP_TO_DATE


@pytest.mark.parametrize(
    ("change", "seed", "field"),
    [
        ({"text": "y"}, 0, "config.text is 'x', wanted 'y'"),
        ({"inner": {"level": 2}}, 0, "config.inner.level is 1, wanted 2"),
        ({}, 1, "seed is 0, wanted 1"),
    ],
)
def test_a_conflict_names_the_field(toy, change, seed, field):
    execute(toy.spec, toy.config, toy.inputs, toy.out)
    config = toy.spec.config_type(**change)
    with pytest.raises(ResumeConflictError, match="cannot be continued") as caught:
        execute(toy.spec, config, toy.inputs, toy.out, seed=seed)
    assert field in caught.value.what
    assert (toy.out / "0.txt").read_text() == "x 0 0"


def test_a_newer_stage_version_is_a_conflict(toy):
    execute(toy.spec, toy.config, toy.inputs, toy.out)
    newer = plan(replace(toy.spec, version=2), toy.config, toy.inputs, toy.out)
    assert newer.status is PlanStatus.CONFLICT
    assert newer.differences == ("stage.version is 1, wanted 2",)


def test_a_truncated_output_is_not_up_to_date(toy):
    execute(toy.spec, toy.config, toy.inputs, toy.out)
    (toy.out / "1.txt").write_text("")
    damaged = plan(toy.spec, toy.config, toy.inputs, toy.out)
    assert damaged.status is PlanStatus.CONFLICT
    assert damaged.differences == ("its files are missing or damaged",)


def test_a_folder_of_something_else_is_left_alone(toy):
    toy.out.mkdir()
    (toy.out / "diary.txt").write_text("mine")
    with pytest.raises(ResumeConflictError, match="was not written by facediff"):
        execute(toy.spec, toy.config, toy.inputs, toy.out)
    assert [p.name for p in toy.out.iterdir()] == ["diary.txt"]


def test_an_empty_folder_is_used(toy):
    toy.out.mkdir()
    assert execute(toy.spec, toy.config, toy.inputs, toy.out).root == toy.out


def test_an_interrupted_run_is_refused_without_resume(toy):
    with pytest.raises(Interrupted):
        execute(toy.spec, toy.config, toy.inputs, toy.out, should_stop=stop_after(2))
    assert not toy.out.exists()
    assert plan(toy.spec, toy.config, toy.inputs, toy.out).status is PlanStatus.UNFINISHED
    with pytest.raises(ResumeConflictError, match=r"unfinished run.*--resume"):
        execute(toy.spec, toy.config, toy.inputs, toy.out, resume=False)


def test_a_resumed_run_equals_an_uninterrupted_one(toy):
    whole = execute(toy.spec, toy.config, toy.inputs, toy.out.with_name("whole"))
    with pytest.raises(Interrupted):
        execute(toy.spec, toy.config, toy.inputs, toy.out, should_stop=stop_after(2))
    resumed = execute(toy.spec, toy.config, toy.inputs, toy.out)
    assert resumed.manifest.metrics["kept"] == 2
    assert resumed.manifest.artifact_id == whole.manifest.artifact_id
    assert resumed.manifest.run_key == whole.manifest.run_key


def test_an_unfinished_run_of_other_settings_is_a_conflict(toy):
    with pytest.raises(Interrupted):
        execute(toy.spec, toy.config, toy.inputs, toy.out, should_stop=stop_after(1))
    other = plan(toy.spec, toy.spec.config_type(files=9), toy.inputs, toy.out)
    assert (other.status, other.differences) == (PlanStatus.CONFLICT, ("config.files is 3, wanted 9",))


def test_a_killed_run_leaves_no_output_and_can_be_continued(toy):
    script = dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from stages.common.config import StageConfig
        from stages.common.engine import describe_source, execute
        from stages.common.stage import StageSpec
        from stages.common.hashing import hash_json
        from stages.common.manifest import ArtifactKind

        class ToyConfig(StageConfig):
            files: int = 3
            text: str = "x"
            inner: dict[str, int] = {"level": 1}

        def run(config, inputs, context):
            (context.out / "0.txt").write_text("x 0 0")
            os.kill(os.getpid(), signal.SIGKILL)

        source = describe_source(Path("."), hash_json("listing"))
        spec = StageSpec("toy", 1, ToyConfig, {"photos": ArtifactKind.SOURCE}, ArtifactKind.FACES, run)
        execute(spec, ToyConfig(), {"photos": source}, Path(sys.argv[1]))
        """
    )
    killed = subprocess.run([sys.executable, "-c", script, str(toy.out)], check=False)
    assert killed.returncode == -9
    assert not toy.out.exists()
    assert plan(toy.spec, toy.config, toy.inputs, toy.out).status is PlanStatus.UNFINISHED
    assert execute(toy.spec, toy.config, toy.inputs, toy.out).manifest.metrics["kept"] == 1


def test_killed_in_the_middle_of_the_commit_it_is_finished_without_running_again(toy):
    whole = execute(toy.spec, toy.config, toy.inputs, toy.out)
    toy.out.rename(partial_of(toy.out))
    assert plan(toy.spec, toy.config, toy.inputs, toy.out).status is PlanStatus.UNFINISHED
    committed = execute(replace(toy.spec, run=forbidden_run), toy.config, toy.inputs, toy.out)
    assert committed.manifest == whole.manifest


def test_two_processes_never_write_the_same_output(toy):
    (partial_of(toy.out) / ".run").mkdir(parents=True)
    with (partial_of(toy.out) / ".run" / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(ResumeConflictError, match="another process"):
            execute(replace(toy.spec, run=forbidden_run), toy.config, toy.inputs, toy.out)


def test_a_crash_in_the_stage_commits_nothing(toy):
    def crash(_config, _inputs, context):
        (context.out / "half.txt").write_text("half")
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        execute(replace(toy.spec, run=crash), toy.config, toy.inputs, toy.out)
    assert not toy.out.exists()


def test_a_run_refused_before_it_wrote_leaves_nothing_behind(toy):
    def refuse(_config, _inputs, _context):
        raise BadInputError("of no use")

    with pytest.raises(BadInputError):
        execute(replace(toy.spec, run=refuse), toy.config, toy.inputs, toy.out)
    assert not partial_of(toy.out).exists()
    other = toy.config.model_copy(update={"text": "y"})
    assert execute(toy.spec, other, toy.inputs, toy.out).manifest.config["text"] == "y"


def test_an_output_below_a_file_cannot_be_written(toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot write"):
        execute(toy.spec, toy.config, toy.inputs, tmp_path / "file" / "out")


def test_an_input_of_another_kind_is_refused(toy):
    faces = execute(toy.spec, toy.config, toy.inputs, toy.out)
    with pytest.raises(BadInputError, match="holds faces, but photos must be source"):
        plan(toy.spec, toy.config, {"photos": faces}, Path("elsewhere"))


def test_all_ancestors_travel_with_an_artifact(toy):
    faces = execute(toy.spec, toy.config, toy.inputs, toy.out)
    spec = replace(toy.spec, name="pack", inputs={"faces": ArtifactKind.FACES}, output=ArtifactKind.SHARDS)
    shards = execute(spec, toy.spec.config_type(text="packed"), {"faces": faces}, toy.out.with_name("shards"))
    moved = shards.root.rename(shards.root.with_name("moved"))
    parents = load_parents(load_artifact(moved))
    assert set(parents) == {faces.manifest.artifact_id, toy.inputs["photos"].manifest.artifact_id}
    assert parents[faces.manifest.artifact_id].inputs == faces.manifest.inputs
