"""``facediff talk`` with the real detector on a moving portrait, from the command line to the file."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from support.tiny_talker import write_tiny_talker
from support.videos import hum, portrait, write_video

from facediff_cli.main import main
from stages.common.media.video import Video

pytestmark = pytest.mark.e2e


def test_a_clip_like_grids_is_dubbed(tmp_path, capsys):
    talker = write_tiny_talker(tmp_path / "talker")
    options = ["-c:v", "mpeg1video", "-q:v", "2", "-c:a", "mp2"]
    clip = write_video(tmp_path / "clip.mpg", portrait(8), hum(0.32), options=options)
    out = tmp_path / "dubbed.mp4"
    given = ["--face", clip, "--audio", clip, "--out", out, "--model", talker, "--steps", 2, "--device", "cpu"]
    assert main(["talk", *map(str, given), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["edited"] == result["frames"] >= 8
    before, after = (np.stack(list(Video(path, Fraction(25)))[:8]).astype(int) for path in (clip, out))
    change = np.abs(after - before).mean(axis=(0, 3))
    assert change[130:170, 90:130].mean() > 3 * change[:100].mean()
    assert main(["manifest", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stage"] == "talk"


def test_a_photo_reads_a_sentence(tmp_path, capsys):
    write_tiny_talker(tmp_path / "talker")
    out = tmp_path / "demo"
    assert main(["demo", "--talk", "--out", str(out), "--model", str(tmp_path / "talker"), "--device", "cpu"]) == 0
    assert "talk-strip.png" in capsys.readouterr().out
    with Image.open(out / "talk-strip.png") as strip:
        assert strip.size[0] == 10 * 130 + 2
