"""From photos to an edited photo with the preset ``tiny``, through the command line alone."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data
from support.shards import make_shards

from facediff_cli.main import main
from stages.common.manifest import load_artifact

pytestmark = pytest.mark.e2e

SPLITS = ["train"] * 6 + ["val"] * 2 + ["test"]
EMOTIONS = ["neutral", "happy", "sad"]
DIE_IN_THE_THIRD_TAR = """
import os, signal, sys
import stages.shard.run as run
write, written = run.write_tar, []
def write_or_die(path, members):
    written.append(path)
    if len(written) == 3:
        path.write_bytes(b"half a tar")
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, members)
run.write_tar = write_or_die
from facediff_cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def facediff(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def write_photos(folder: Path) -> Path:
    """Nine cuts of one portrait and the table that labels them, which is returned."""
    portrait = Image.fromarray(data.astronaut())
    (folder / "photos").mkdir()
    with (folder / "labels.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "emotion", "identity", "split"])
        for number, split in enumerate(SPLITS):
            left, top = 130 + 3 * number, 40 + 2 * number
            portrait.crop((left, top, left + 160, top + 160)).save(folder / "photos" / f"{number}.png")
            table.writerow([f"{number}.png", EMOTIONS[number % 3], f"person {number}", split])
    return folder / "labels.csv"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with faces, shards, vqgan, ldm, emotion, and the released model."""
    runs = tmp_path_factory.mktemp("runs")
    labels = write_photos(runs)
    tiny = ("--config", "tiny")
    detector = ("--detector", "dlib", "--workers", 1)
    facediff("preprocess", "folder", runs / "photos", "--labels", labels, "--out", runs / "faces", *tiny, *detector)
    facediff("shard", runs / "faces", "--out", runs / "shards", "--set", "samples_per_shard=4")
    train = ("--data", runs / "shards", "--device", "cpu", *tiny)
    facediff("train", "vqgan", "--out", runs / "vqgan", *train)
    facediff("train", "emotion", "--out", runs / "emotion", *train)
    facediff("train", "ldm", "--first-stage", runs / "vqgan", "--out", runs / "ldm", *train)
    parts = ("--ldm", runs / "ldm", "--emotion", runs / "emotion")
    facediff("models", "bundle", *parts, "--out", runs / "model", *tiny)
    return runs


def output_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    facediff(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_every_photo_arrives_in_its_split(runs: Path) -> None:
    counts = load_artifact(runs / "shards").manifest.metrics["samples"]
    assert {split: sum(classes.values()) for split, classes in counts.items()} == {"train": 6, "val": 2, "test": 1}


@pytest.mark.parametrize("name", ["faces", "shards", "vqgan", "emotion", "ldm", "model"])
def test_every_artifact_is_as_written(runs: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert output_of(capsys, "manifest", "verify", runs / name)["problems"] == []


def test_the_lineage_of_the_model_goes_back_to_the_photos(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = output_of(capsys, "manifest", "lineage", runs / "model")
    shards = {"shard": {"align": {"source": {}}}}
    ldm = {"ldm": shards | {"vqgan": shards}}
    assert stages_of(tree) == {"bundle": ldm | {"emotion": shards}}


def stages_of(node: dict[str, Any]) -> dict[str, Any]:
    children: dict[str, Any] = {}
    for child in node["inputs"]:
        children |= stages_of(child)
    return {node["stage"]: children}


def test_no_file_of_a_model_says_where_it_was_made(runs: Path) -> None:
    for name in ("vqgan", "ldm", "emotion", "model"):
        for path in (p for p in (runs / name).rglob("*") if p.is_file()):
            assert str(runs).encode() not in path.read_bytes(), path


def test_the_model_edits_a_photo_and_only_the_face(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(data.astronaut()).save(tmp_path / "portrait.png")
    edit = ("edit", tmp_path / "portrait.png", "--model", runs / "model", "--device", "cpu", "--strength", 300)
    result = output_of(capsys, *edit, "--emotion", "happy", "--steps", 2, "--out", tmp_path / "happy.png")
    assert result["ok"] == 1
    assert result["artifact_id"] == load_artifact(runs / "model").manifest.artifact_id
    assert result["results"][0]["faces"][0]["source"] in EMOTIONS
    before, after = data.astronaut(), np.asarray(Image.open(tmp_path / "happy.png"))
    changed = (before != after).any(axis=2)
    ys, xs = np.nonzero(changed)
    assert 40 < ys.min() < ys.max() < 220
    assert 160 < xs.min() < xs.max() < 285
    picture = output_of(capsys, "manifest", "lineage", tmp_path / "happy.png")
    assert [child["id"] for child in picture["inputs"]] == [result["artifact_id"]]


def test_the_model_makes_faces_and_their_neighbours_are_found(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = ("synthesize", "--model", runs / "model", "--device", "cpu", "--steps", 3, "--count", 2, "--seed", 5)
    planned = output_of(capsys, *make, "--out", tmp_path / "faces", "--dry-run")
    assert planned["config"]["steps"] == 3
    assert not (tmp_path / "faces").exists()
    made = output_of(capsys, *make, "--out", tmp_path / "faces")
    assert made["counts"]["ok"] == 2 * len(EMOTIONS)
    assert output_of(capsys, *make, "--out", tmp_path / "faces")["up_to_date"]
    one = ("--emotion", "happy", "--first", 1, "--count", 1, "--batch", 1, "--out", tmp_path / "one")
    facediff(*make, *one)
    assert (tmp_path / "one/happy/000001.png").read_bytes() == (tmp_path / "faces/happy/000001.png").read_bytes()
    tree = output_of(capsys, "manifest", "lineage", tmp_path / "faces")
    assert list(stages_of(tree)) == ["synthesize"]
    assert list(stages_of(tree)["synthesize"]) == ["bundle"]

    search = ("neighbors", tmp_path / "faces", "--data", runs / "shards", "--space", "pixels", "--k", 3)
    found = output_of(capsys, *search, "--device", "cpu", "--out", tmp_path / "neighbors")
    assert 0 < found["metrics"]["pixels"]["nearest"] < 2
    for name in ("faces", "neighbors"):
        assert output_of(capsys, "manifest", "verify", tmp_path / name)["problems"] == []


def test_two_photos_have_faces_between_them(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, flip in (("a.png", False), ("b.png", True)):
        portrait = data.astronaut()
        Image.fromarray(portrait[:, ::-1] if flip else portrait).save(tmp_path / name)
    between = ("interpolate", tmp_path / "a.png", tmp_path / "b.png", "--model", runs / "model", "--device", "cpu")
    made = output_of(capsys, *between, "--steps", 2, "--positions", 3, "--eta", 0, "--out", tmp_path / "out")
    assert made["counts"]["ok"] == 3
    assert {path.name for path in (tmp_path / "out").glob("eta-0.*")} == {"eta-0.png", "eta-0.gif", "eta-0.mp4"}
    assert output_of(capsys, "manifest", "verify", tmp_path / "out")["problems"] == []


def test_an_edit_by_another_way(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(data.astronaut()).save(tmp_path / "portrait.png")
    edit = (
        "edit",
        tmp_path / "portrait.png",
        "-e",
        "happy",
        "--model",
        runs / "model",
        "--device",
        "cpu",
        "--steps",
        3,
    )
    train = ("--data", runs / "shards", "--first-stage", runs / "vqgan", "--device", "cpu", "--config", "tiny")
    facediff("train", "classifier", "--out", tmp_path / "classifier", *train)
    by_classifier = ("--classifier", tmp_path / "classifier", "--classifier-scale", 20)
    pictures = []
    for number, way in enumerate([(), ("--sampler", "dpmpp-2m", "--set", "guided=back"), by_classifier]):
        output_of(capsys, *edit, *way, "--guidance", 3, "--out", tmp_path / f"{number}.png")
        pictures.append(np.asarray(Image.open(tmp_path / f"{number}.png")).tobytes())
    assert len(set(pictures)) == 3
    assert main([*map(str, edit), "--set", "guided=there"]) == 2
    assert "--set guided" in capsys.readouterr().err


def test_what_the_model_has_not_learned_is_refused(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(data.astronaut()).save(tmp_path / "portrait.png")
    assert main(["edit", str(tmp_path / "portrait.png"), "-e", "fear", "--model", str(runs / "model")]) == 2
    assert "neutral, happy, sad" in capsys.readouterr().err


def test_an_altered_weight_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = runs / "ldm" / "emotion_embedding.safetensors"
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert main(["edit", str(tmp_path / "none.png"), "-e", "happy", "--model", str(runs / "ldm")]) == 6
        assert "emotion_embedding.safetensors" in capsys.readouterr().err
    finally:
        weights.write_bytes(content)


def test_the_same_commands_again_have_nothing_to_do(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", "ldm", "--data", runs / "shards", "--first-stage", runs / "vqgan", "--config", "tiny")
    assert output_of(capsys, *train, "--out", runs / "ldm")["up_to_date"]


def test_sharding_killed_in_a_tar_and_repeated_is_the_same_artifact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = make_shards(tmp_path, samples_per_shard=3)
    arguments = ["shard", str(tmp_path / "faces"), "--out", str(tmp_path / "again"), "--set", "samples_per_shard=3"]
    killed = subprocess.run(
        [sys.executable, "-c", DIE_IN_THE_THIRD_TAR, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "again").exists()
    assert len(list((tmp_path / "again.partial").glob("*.tar"))) == 2
    assert output_of(capsys, *arguments)["artifact_id"] == reference.manifest.artifact_id
    assert {p.name for p in (tmp_path / "again").iterdir()} == {p.name for p in reference.root.iterdir()}


def test_a_recipe_does_the_same_in_one_command(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = (
        "--photos",
        runs / "photos",
        "--labels",
        runs / "labels.csv",
        "--out",
        tmp_path,
        "--device",
        "cpu",
        "-j",
        1,
    )
    planned = output_of(capsys, "run", "tiny", *where, "--dry-run")["steps"]
    assert [step["status"] for step in planned] == ["new", *["waits"] * 7]
    assert list(tmp_path.iterdir()) == []
    done = output_of(capsys, "run", "tiny", *where)["steps"]
    assert [step["status"] for step in done] == ["done"] * 8
    ids = {step["step"]: step["artifact_id"] for step in done}
    assert ids["model"] == load_artifact(runs / "model").manifest.artifact_id
    again = output_of(capsys, "run", "tiny", *where)["steps"]
    assert [step["status"] for step in again] == ["up to date"] * 8
    assert {step["step"]: step["artifact_id"] for step in again} == ids


def test_a_recipe_needs_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "tiny", "--out", str(tmp_path)]) == 2
    assert "--photos" in capsys.readouterr().err
