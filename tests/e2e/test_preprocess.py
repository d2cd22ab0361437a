"""``facediff preprocess`` as a process of its own: results, exit codes, workers, and being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from facediff_cli.main import main

pytestmark = pytest.mark.e2e

CHUNK = 3
PHOTOS = 10
_SMALL_CHUNKS = f"import stages.align.run as run; run.CHUNK_SAMPLES = {CHUNK};"
_MAIN = "import sys; from facediff_cli.main import main; sys.exit(main(sys.argv[1:]))"
_DIE_AFTER_PHOTO = """
import os, signal
from stages.align.faces import FaceMaker
make, made = FaceMaker.make, []
def make_and_die(self, sample):
    made.append(sample)
    if len(made) > {count}:
        os.kill(os.getpid(), signal.SIGKILL)
    return make(self, sample)
FaceMaker.make = make_and_die
"""
_DIE_WITH_WORKERS = """
import multiprocessing, os, signal
import stages.common.chunks
def die(context):
    if list(context.work.glob("*.parquet")):
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
stages.common.chunks._stop_if_asked = die
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same portrait cut in ten ways, a cat, and a file cut off in the middle."""
    root = tmp_path_factory.mktemp("photos")
    portrait = Image.fromarray(np.asarray(skimage.data.astronaut()))
    for index in range(PHOTOS):
        left, top = 130 + 3 * index, 40 + 2 * index
        portrait.crop((left, top, left + 160, top + 160)).save(root / f"{index:02d}.jpg", quality=92)
    (root / "cut.jpg").write_bytes((root / "00.jpg").read_bytes()[:3000])
    Image.fromarray(np.asarray(skimage.data.cat())[:160, :160]).save(root / "cat.jpg")
    return root


def align(photos: Path, out: Path, workers: int = 1, before: str = "") -> subprocess.CompletedProcess[str]:
    code = "\n".join([_SMALL_CHUNKS, before, _MAIN])
    arguments = ["preprocess", "folder", photos, "--out", out, "--detector", "dlib", "--workers", workers, "--json"]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def reference(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one uninterrupted process says of the photos."""
    return result_of(align(photos, tmp_path_factory.mktemp("reference") / "faces"))


def test_all_photos_are_accounted_for(reference: dict[str, Any]) -> None:
    counts = reference["counts"]
    assert counts == {"total": PHOTOS + 2, "ok": PHOTOS, "rejected_by_reason": {"no face": 1, "unreadable": 1}}
    assert Path(reference["out"], "manifest.json").is_file()


def test_two_workers_write_the_same_artifact(photos: Path, tmp_path: Path, reference: dict[str, Any]) -> None:
    both = result_of(align(photos, tmp_path / "faces", workers=2))
    assert both["artifact_id"] == reference["artifact_id"]


@pytest.mark.parametrize("count", [0, CHUNK + 1])
def test_killed_and_run_again_it_is_the_same_artifact(
    photos: Path, tmp_path: Path, reference: dict[str, Any], count: int
) -> None:
    killed = align(photos, tmp_path / "faces", before=_DIE_AFTER_PHOTO.format(count=count))
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "faces").exists()
    done_chunks = len(list((tmp_path / "faces.partial" / ".run" / "work").glob("*.parquet")))
    assert done_chunks == count // CHUNK
    resumed = align(photos, tmp_path / "faces")
    assert "continuing" in resumed.stderr
    assert result_of(resumed)["artifact_id"] == reference["artifact_id"]
    assert result_of(align(photos, tmp_path / "faces"))["up_to_date"]


def test_workers_die_with_their_parent(photos: Path, tmp_path: Path, reference: dict[str, Any]) -> None:
    # The pipes stay open until the last worker has gone, so that this call only returns when they have.
    killed = align(photos, tmp_path / "faces", workers=2, before=_DIE_WITH_WORKERS)
    assert killed.returncode == -signal.SIGKILL
    workers = [int(pid) for pid in killed.stdout.split()]
    assert len(workers) == 2
    assert not any(_is_alive(pid) for pid in workers)
    assert result_of(align(photos, tmp_path / "faces", workers=2))["artifact_id"] == reference["artifact_id"]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_dry_run_writes_nothing_and_names_the_detector(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    assert main(["preprocess", "folder", str(photos), "--out", str(tmp_path / "faces"), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["status"], plan["config"]["detector"]) == ("new", "dlib")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["folder", "{photos}/none"], 3, "not a folder"),
        (["folder", "{photos}", "--labels", "{photos}/none.csv"], 3, "cannot be read"),
        (["affectnet", "{photos}"], 3, "training.csv"),
        (["folder", "{photos}", "--size", "3"], 2, "size_px"),
        (["folder", "{photos}", "--set", "sizepx=64"], 2, "did you mean size_px"),
        (["folder", "{photos}", "--set", "min_blur=1000000.0"], 5, "rejected"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, reason: str
) -> None:
    given = [argument.format(photos=photos) for argument in arguments]
    assert (
        main(["preprocess", *given, "--out", str(tmp_path / "faces"), "--detector", "dlib", "--workers", "1"]) == code
    )
    assert reason in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "faces").exists()
