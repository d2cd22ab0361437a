"""Folders of talking clips, a random lip reader, and a detector that needs no weights."""

from pathlib import Path

import pytest
from support.grey_mouths import GreyMouthDetector, draw_levels, write_talk
from support.lip_reader import make_lip_reader

from stages.common.face import clip_tracker
from stages.common.lip_reading import LipReaderExpert
from stages.common.manifest import Artifact
from stages.evaluate.talk import clips

TEXTS = {"a": "bin blue at f two now", "b": "set white in z nine soon", "c": "place red by q one please"}


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_lip_reader(tmp_path_factory.mktemp("lip") / "reader")


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips with their texts."""
    root = tmp_path_factory.mktemp("real")
    for number, (name, text) in enumerate(TEXTS.items()):
        write_talk(root / f"{name}.mp4", draw_levels(number), text=text)
    return root


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a system made of them: other mouths, and the sound 4 frames late."""
    root = tmp_path_factory.mktemp("other")
    for number, name in enumerate(TEXTS):
        write_talk(root / f"{name}.mkv", draw_levels(number), late=4)
    return root


@pytest.fixture(autouse=True)
def _grey_mouths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clip_tracker, "_REGION_PX", 48)
    monkeypatch.setattr(clips, "load_detector", lambda _name: GreyMouthDetector())
    monkeypatch.setitem(LipReaderExpert.__init__.__kwdefaults__, "beam_size", 1)
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
