"""A result says how to make it again."""

import json

import numpy as np
import pytest
from PIL import Image
from support.clips import ONE, CornerDetector, write_clip
from support.fake_editor import FakeDetector, FakeEditor

from stages.common.errors import BadInputError
from stages.common.progress import SilentProgress
from stages.common.provenance import write_provenance
from stages.edit.batch import Wanted, edit_files
from stages.edit.config import make_edit_config
from stages.edit.inputs import Source
from stages.edit.like import read_like, sidecar_path

CONFIG = make_edit_config(
    ("guided_levels=[50, 300]",),
    emotion="happy:3,sad:1",
    amount=0.5,
    source="neutral",
    guidance=2.5,
    face="all",
    seed=4,
)


def made(tmp_path, path, target, detector):
    editor = FakeEditor()
    (outcome,) = edit_files(
        [Source(path, path)],
        [tmp_path / target],
        load_models=lambda: (editor, detector),
        wanted=Wanted(CONFIG, sidecar=True),
        progress=SilentProgress(),
    )
    assert outcome.ok, outcome.error
    return tmp_path / target


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(5).integers(40, 200, (150, 220, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.mark.parametrize("target", ["a.png", "a.jpg", "a.mp4"])
def test_settings_come_back_from_the_result_and_from_its_sidecar(tmp_path, photo, target):
    video = target.endswith(".mp4")
    source = write_clip(tmp_path / "in.mp4", [ONE] * 3) if video else photo
    result = made(tmp_path, source, target, CornerDetector() if video else FakeDetector())
    for path in (result, sidecar_path(result)):
        like = read_like(path)
        assert make_edit_config(**like.fields) == CONFIG
        assert (like.model, like.classifier) == ("f" * 64, None)
        assert like.detector == ("corner" if video else "fake")
    assert ("counts" in json.loads(sidecar_path(result).read_text())) == video


def test_what_says_nothing_is_refused(tmp_path, photo):
    with pytest.raises(BadInputError, match="does not say how"):
        read_like(photo)
    write_provenance(photo, {"stage": "edit", "sweep": {}})
    with pytest.raises(BadInputError, match="does not say how one edit"):
        read_like(photo)
    old = {"stage": "edit", "settings": {"strength": 500}, "emotion": "happy", "seed": 0, "model": "f"}
    write_provenance(photo, old)
    with pytest.raises(BadInputError, match="does not say all"):
        read_like(photo)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(BadInputError, match="readable sidecar"):
        read_like(tmp_path / "a.json")
    with pytest.raises(BadInputError, match="does not exist"):
        read_like(tmp_path / "none.mp4")
