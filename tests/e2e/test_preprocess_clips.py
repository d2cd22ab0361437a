"""``facediff preprocess video|grid|mead`` as commands: results, workers, being killed, and what goes wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.videos import hum, portrait, write_video

from facediff_cli.main import main

pytestmark = pytest.mark.e2e

CLIPS = 4
_MAIN = "import sys; from facediff_cli.main import main; sys.exit(main(sys.argv[1:]))"
_DIE_AFTER_TWO = """
import os, signal
from stages.clips.maker import ClipMaker
make, made = ClipMaker.make, []
def make_and_die(self, clip):
    made.append(clip)
    if len(made) > 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return make(self, clip)
ClipMaker.make = make_and_die
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of one speaker as in GRID, one of them no video."""
    root = tmp_path_factory.mktemp("grid")
    for number in range(CLIPS - 1):
        options = ["-c:v", "mpeg1video", "-q:v", "2", "-c:a", "mp2"]
        write_video(root / f"s1/{number}.mpg", portrait(8, 108 + number), hum(0.36), options=options)
        (root / f"s1/{number}.align").write_text("0 2500 sil\n2500 5000 set\n5000 8000 blue\n")
    (root / "s1/bad.mpg").write_text("no video" * 100)
    splits = "0,train,set blue\n1,train,set blue\n2,test,set blue\nbad,val,set blue\n"
    (root / "s1.csv").write_text("clip,split,text\n" + splits)
    return root


def arguments(grid: Path, out: Path, *more: str) -> list[str]:
    settings = ["--set", "min_s=0.2", "--set", "clips_per_shard=1", "--detector", "dlib", "--json"]
    return ["preprocess", "grid", str(grid), "--out", str(out), *settings, *more]


def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{before}\n{_MAIN}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def reference(grid: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = run(*arguments(grid, tmp_path_factory.mktemp("reference") / "out", "--workers", "1"))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_grid_becomes_shards_of_each_split(reference: dict[str, Any]) -> None:
    assert reference["counts"] == {"total": CLIPS, "ok": CLIPS - 1, "rejected_by_reason": {"unreadable": 1}}
    assert reference["metrics"]["clips_by_split"] == {"test": 1, "train": 2}
    names = {path.name for path in Path(reference["out"]).glob("*.tar")}
    assert names == {"test-000000.tar", "train-000000.tar", "train-000001.tar"}


def test_two_workers_write_the_same_artifact(grid: Path, tmp_path: Path, reference: dict[str, Any]) -> None:
    done = run(*arguments(grid, tmp_path / "out", "--workers", "2"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifact_id"] == reference["artifact_id"]


def test_killed_and_run_again_it_is_the_same_artifact(
    grid: Path, tmp_path: Path, reference: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    killed = run(*arguments(grid, tmp_path / "out", "--workers", "1"), before=_DIE_AFTER_TWO)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "out.partial/.run/work").glob("*.parquet"))) == 2
    assert main(arguments(grid, tmp_path / "out", "--workers", "1")) == 0
    assert json.loads(capsys.readouterr().out)["artifact_id"] == reference["artifact_id"]


def test_a_dry_run_names_the_rate_and_the_detector_and_writes_nothing(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(grid, tmp_path / "out", "--dry-run")) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["status"], plan["config"]["fps"], plan["config"]["detector"]) == ("new", 25, "dlib")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        (["grid", "{grid}/none"], 3, "not a folder"),
        (["video", "{grid}", "--transcripts", "{grid}/none.csv"], 3, "cannot be read"),
        (["mead", "{grid}"], 3, "no clips"),
        (["mead", "{grid}", "--val-subject", "M003"], 3, "test subjects"),
        (["grid", "{grid}", "--fps", "0"], 2, "fps"),
        (["grid", "{grid}", "--set", "minimum_s=1"], 2, "minimum_s"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], code: int, reason: str
) -> None:
    filled = [argument.format(grid=grid) for argument in given]
    assert main(["preprocess", *filled, "--out", str(tmp_path / "out"), "--detector", "dlib"]) == code
    assert reason in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
