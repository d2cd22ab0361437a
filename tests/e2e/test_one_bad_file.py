"""One bad file never ends a batch, whatever is wrong with it."""

import json
import os
import shutil

import pytest
from PIL import Image
from skimage import data
from support.clips import ONE, write_clip
from support.edit_model import make_fake_model
from support.fake_editor import FakeEditor

from facediff_cli.main import main
from stages.edit import batch

pytestmark = pytest.mark.e2e


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(data.astronaut()[:256, 60:380]).save(tmp_path / "in" / name)
    return tmp_path / "in"


def edit(tmp_path, monkeypatch, capsys, *arguments, editor=None):
    model = make_fake_model(tmp_path / "tiny", monkeypatch, editor)
    code = main(["edit", "-e", "happy", "--model", str(model), "--device", "cpu", "--json", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_a_bug_on_one_file_is_named_and_counted_and_the_others_are_done(photos, tmp_path, monkeypatch, capsys):
    whole = batch.edit_photo

    def broken(photo, *arguments):
        if photo.path.name == "b.png":
            raise IndexError("the second photo is one too many")
        return whole(photo, *arguments)

    monkeypatch.setattr(batch, "edit_photo", broken)
    code, result, said = edit(tmp_path, monkeypatch, capsys, "in", "--out", "out/")
    assert (code, result["exit_code"], result["ok"]) == (1, 1, 2)
    assert result["rejected_by_reason"] == {"internal error": 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-happy.png", "c-happy.png"]
    (log,) = (tmp_path / "home" / "logs").iterdir()
    assert str(log) in said
    assert "IndexError" in log.read_text()


def test_a_model_that_cannot_be_loaded_ends_all(photos, tmp_path, monkeypatch, capsys):
    make_fake_model(tmp_path / "tiny", monkeypatch)
    tried = []

    def load(*_arguments):
        tried.append(1)
        raise RuntimeError("half a network")

    monkeypatch.setattr("stages.common.editor.load_editor", load)
    with pytest.raises(RuntimeError, match="half a network"):
        main(["edit", "-e", "happy", "--model", str(tmp_path / "tiny"), "--device", "cpu", "in", "--out", "out/"])
    assert len(tried) == 1


def test_tracks_without_a_decoder(photos, tmp_path, monkeypatch, capsys):
    clip = write_clip(photos / "d.mp4", [ONE] * 3, sound=True).read_bytes()
    (photos / "d.mp4").write_bytes(clip.replace(b"avc1", b"zzz1"))
    code, result, _ = edit(tmp_path, monkeypatch, capsys, "in", "--out", "out/", editor=FakeEditor())
    assert (code, result["ok"], result["rejected_by_reason"]) == (3, 3, {"unsupported": 1})


@pytest.mark.parametrize("command", ["folder", "video"])
def test_preprocess_counts_a_bug_as_a_row(photos, tmp_path, monkeypatch, capsys, command):
    if command == "video":
        for name in ("a", "b"):
            write_clip(photos / f"{name}.mp4", [ONE] * 30, sound=True)
    place = "stages.align.faces.decode_rgb" if command == "folder" else "stages.clips.maker.read_sound"
    original = __import__(place.rpartition(".")[0], fromlist=["x"]).__dict__[place.rpartition(".")[2]]

    def broken(*arguments):
        if any("b." in str(argument)[-6:] for argument in arguments if not isinstance(argument, bytes)):
            raise ZeroDivisionError
        return original(*arguments)

    monkeypatch.setattr(place, broken)
    options = ["--set", "max_rejected=1", "--detector", "dlib", "--workers", "1", "--json"]
    code = main(["preprocess", command, "in", "--out", "faces", *options])
    captured = capsys.readouterr()
    assert code == 0
    assert json.loads(captured.out)["counts"]["rejected_by_reason"]["internal error"] == 1
    assert str(tmp_path / "home" / "logs") in captured.err


def test_no_photo_and_no_foreign_file_is_replaced(photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a-happy.png").write_bytes(b"a holiday")
    (photos / "b.jpg").write_bytes(b"")
    Image.open(photos / "b.png").save(photos / "b.webp")
    os.link(photos / "c.png", tmp_path / "out" / "c-happy.png")
    before = (photos / "c.png").read_bytes()
    for _ in range(2):
        code, result, said = edit(tmp_path, monkeypatch, capsys, "in", "--out", "out")
        assert (code, result["ok"]) == (3, 4)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "a-happy-2.png", "a-happy.png", "b-happy-2.png", "b-happy.png", "c-happy-2.png", "c-happy.png"
        ]  # fmt: skip
        assert "a-happy.png is taken" in said
        shutil.rmtree(tmp_path / "tiny")
    assert (tmp_path / "out" / "a-happy.png").read_bytes() == b"a holiday"
    assert (photos / "c.png").read_bytes() == (tmp_path / "out" / "c-happy.png").read_bytes() == before


def test_an_output_that_is_named_is_not_replaced_either(photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "x.png").write_bytes(b"a holiday")
    code, result, _ = edit(tmp_path, monkeypatch, capsys, photos / "a.png", "--out", "x.png")
    assert (code, (tmp_path / "x.png").read_bytes()) == (4, b"a holiday")
    assert "facediff did not write it" in result["error"]
