"""``facediff eval lipread`` and ``eval sync`` from the command line."""

import csv
import io

import pytest
from support.grey_mouths import GreyMouthDetector, draw_levels, write_talk
from support.lip_reader import make_lip_reader

from stages.common.face import clip_tracker
from stages.common.lip_reading import LipReaderExpert
from stages.evaluate.talk import clips


@pytest.fixture(scope="module")
def talked(tmp_path_factory):
    root = tmp_path_factory.mktemp("talked")
    for number, name in enumerate(("a", "b")):
        write_talk(root / f"{name}.mp4", draw_levels(number), text="bin blue")
    return root


@pytest.fixture(autouse=True)
def _cheap(monkeypatch, tmp_path):
    monkeypatch.setattr(clip_tracker, "_REGION_PX", 48)
    monkeypatch.setattr(clips, "load_detector", lambda _name: GreyMouthDetector())
    monkeypatch.setitem(LipReaderExpert.__init__.__kwdefaults__, "beam_size", 1)
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_lipread_in_all_formats(facediff, talked, tmp_path):
    pytest.importorskip("jiwer")
    reader = make_lip_reader(tmp_path / "reader")
    out = tmp_path / "out"
    common = ("eval", "lipread", "--data", talked, "--clips", f"ours={talked}", "--reader", reader.root, "--out", out)
    dry = facediff(*common, "--metrics", "wer,lipscore", "--dry-run", "--json").payload
    assert (dry["config"]["systems"], dry["config"]["detector"]) == (["ours"], "dlib")
    first = facediff(*common, "--metrics", "wer,lipscore", "--json").payload
    _, ours = first["table"]["rows"]
    assert ours["labels"] == {"system": "ours", "reader": "reader", "clips": "generated"}
    assert ours["values"]["lipscore"]["mean"] == pytest.approx(1, abs=1e-6)
    lines = list(csv.DictReader(io.StringIO(facediff(*common, "--metrics", "wer,lipscore", "--csv").stdout)))
    assert float(lines[1]["wer_real"]) == float(lines[0]["wer"]) == float(lines[1]["wer"])
    assert r"WER \% of the real clips" in facediff(*common, "--metrics", "wer,lipscore", "--latex").stdout
    page = tmp_path / "report.html"
    assert facediff("report", out, "--out", page).exit_code == 0
    assert "another reader, other people and sentences" in page.read_text("utf-8")


def test_sync_as_a_table(facediff, talked, tmp_path):
    result = facediff("eval", "sync", "--clips", f"ours={talked}", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "median lag ms (mouth opening, loudness)" in result.stdout
    assert "syncnet_offset: missing: syncnet_v2.model is neither" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (("lipread", "--clips", "x"), 2, "--clips 'x' is not of the form NAME=DIR"),
        (("lipread",), 2, "there is nothing to measure"),
        (("lipread", "--data", "{talked}", "--silent", "x={talked}"), 2, "--silent x has no --clips x"),
        (("lipread", "--data", "{talked}", "--metrics", "wer", "--reader", "nobody"), 6, "no model 'nobody'"),
        (("lipread", "--data", "{absent}"), 3, "is not a folder"),
        (("sync", "--clips", "x={talked}", "--clips", "x={talked}"), 2, "--clips x is given twice"),
        (("sync", "--data", "{talked}", "--metrics", "syncnet_offset"), 6, "syncnet_offset cannot be measured"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(facediff, talked, tmp_path, options, code, line):
    places = {"talked": talked, "absent": tmp_path / "absent"}
    result = facediff("eval", *(option.format(**places) for option in options), "--out", tmp_path / "out")
    assert result.exit_code == code, result.stderr
    assert line in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()
