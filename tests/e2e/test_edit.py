"""``facediff edit`` and ``facediff demo`` on a real portrait, from the command line to the file."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage import data
from support.clips import ONE, write_clip
from support.edit_model import make_fake_model

from facediff_cli.main import main
from stages.common.manifest import load_artifact
from stages.common.provenance import read_provenance, write_provenance
from stages.common.video import VideoReader
from stages.common.video_writer import VideoWriter

RECORD = {
    "stage": "edit",
    "settings": {"source": "auto", "guidance": None},
    "emotion": "happy",
    "seed": 0,
    "model": "0",
    "classifier": None,
    "detector": "dlib",
}
pytestmark = pytest.mark.e2e


@pytest.fixture
def tiny_editor_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_fake_model(tmp_path / "tiny", monkeypatch)


@pytest.fixture
def portrait(tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "portrait.png")
    return tmp_path / "portrait.png"


def _edit(model, *arguments):
    return main(["edit", "--model", str(model), "--device", "cpu", *map(str, arguments)])


def test_defaults_write_beside_and_keep_the_background(tiny_editor_model, portrait, tmp_path, capsys):
    assert _edit(tiny_editor_model, "--emotion", "happy", portrait) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("portrait-happy.png")
    before = data.astronaut()
    after = np.asarray(Image.open(tmp_path / "portrait-happy.png"))
    changed = (before != after).any(axis=2)
    ys, xs = np.nonzero(changed)
    # The astronaut's face; everything else must be the same bits.
    assert 40 < ys.min() < 110
    assert 170 < ys.max() < 220
    assert 160 < xs.min() < 190
    assert 250 < xs.max() < 285
    assert changed[150, 225]
    record = read_provenance(tmp_path / "portrait-happy.png")
    assert record["tool"] == "facediff"
    assert record["emotion"] == "happy"
    assert record["seed"] == 0


def test_same_label_gives_the_same_pixels(tiny_editor_model, portrait, tmp_path):
    assert _edit(tiny_editor_model, "-e", "sad", "--source", "sad", "--guidance", "1", "-o", "x.png", portrait) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), data.astronaut())


def test_json_counts_add_up_and_stdout_holds_nothing_else(tiny_editor_model, portrait, tmp_path, capsys):
    (tmp_path / "empty.jpg").touch()
    code = _edit(tiny_editor_model, "-e", "happy", "--json", "--out", "new/", portrait, "empty.jpg", "none.png")
    assert code == 3
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["total"], result["ok"]) == (3, 1)
    assert result["rejected_by_reason"] == {"empty": 1, "missing": 1}
    assert result["results"][0]["outputs"] == ["new/portrait-happy.png"]
    assert result["results"][0]["faces"][0]["source"] == "neutral"
    assert "2 of 3 files could not be edited" in captured.err
    assert (tmp_path / "new" / "portrait-happy.png").is_file()


def test_dry_run_writes_nothing(tiny_editor_model, portrait, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert _edit(tiny_editor_model, "-e", "happy", "--dry-run", "--json", "--out", "new/", portrait) == 0
    assert json.loads(capsys.readouterr().out)["planned"][0]["output"] == "new/portrait-happy.png"
    assert sorted(tmp_path.rglob("*")) == before


def test_crop_only(tiny_editor_model, portrait, tmp_path):
    assert _edit(tiny_editor_model, "-e", "happy", "--crop-only", portrait) == 0
    with Image.open(tmp_path / "portrait-happy-crop.png") as crop:
        assert crop.size == (128, 128)


def test_an_edit_of_an_edit_has_one_record(tiny_editor_model, portrait, tmp_path):
    assert _edit(tiny_editor_model, "-e", "happy", "-o", "one.png", portrait) == 0
    assert _edit(tiny_editor_model, "-e", "sad", "-o", "two.png", "one.png") == 0
    assert read_provenance(tmp_path / "two.png")["emotion"] == "sad"
    assert (tmp_path / "two.png").read_bytes().count(b"facediff:provenance=") == 1


def test_demo_leaves_a_sheet(tiny_editor_model, tmp_path, capsys):
    assert main(["demo", "--model", str(tiny_editor_model), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "demo/sheet.png"
    assert len(list((tmp_path / "demo").iterdir())) == 5


def test_folders_videos_sidecars_and_repeating(tiny_editor_model, portrait, tmp_path, capsys):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    portrait.rename(tmp_path / "in" / "deep" / "ä.png")
    write_clip(tmp_path / "in" / "b.mpg.mp4", [ONE] * 2)
    assert _edit(tiny_editor_model, "-e", "happy,sad", "--sidecar", "--json", "--out", "out", "in") == 3
    result = json.loads(capsys.readouterr().out)
    # dlib finds no face in a grey clip.
    assert result["rejected_by_reason"] == {"no face": 1}
    (made,) = [row["outputs"] for row in result["results"] if row["status"] == "ok"]
    assert made == ["out/deep/ä-happy-sad.png", "out/deep/ä-happy-sad.png.json"]
    assert _edit(tiny_editor_model, "--like", made[0], "--seed", "5", "-o", "again.png", "in/deep/ä.png") == 0
    record = read_provenance(tmp_path / "again.png")
    assert (record["emotion"], record["seed"]) == ("happy:0.5,sad:0.5", 5)
    assert np.array_equal(np.asarray(Image.open("again.png")), np.asarray(Image.open(made[0])))


def test_options_that_do_not_go_together(tiny_editor_model, portrait, tmp_path, capsys):
    assert _edit(tiny_editor_model, portrait) == 2
    assert _edit(tiny_editor_model, "-e", "happy", "--crop-only", write_clip(tmp_path / "a.mp4", [ONE])) == 2
    assert _edit(tiny_editor_model, "-e", "happy", "--sweep", "--strengths", "4000", portrait) == 2
    assert _edit(tiny_editor_model, "--like", portrait, portrait) == 3
    write_provenance(portrait, {**RECORD, "model": "0" * 64})
    assert _edit(tiny_editor_model, "--like", portrait, "-o", "x.png", portrait) == 2
    own = load_artifact(tiny_editor_model).manifest.artifact_id
    write_provenance(portrait, {**RECORD, "model": own, "classifier": "1" * 64})
    assert _edit(tiny_editor_model, "--like", portrait, "-o", "x.png", portrait) == 2
    errors = capsys.readouterr().err.splitlines()
    for words, line in zip(
        ("no expression", "no crop", "--strength", "does not say", "another model", "classifier"), errors, strict=True
    ):
        assert words in line


def test_a_video_says_how_it_was_made(tmp_path, capsys):
    with (
        VideoReader(write_clip(tmp_path / "a.mp4", [ONE])) as reader,
        VideoWriter(tmp_path / "b.mp4", reader.info, {**RECORD, "tool": "facediff"}, 18) as writer,
    ):
        for frame in reader.frames():
            writer.write(frame, frame.stored_HWC)
    assert main(["manifest", "show", "--json", str(tmp_path / "b.mp4")]) == 0
    assert json.loads(capsys.readouterr().out)["emotion"] == "happy"
