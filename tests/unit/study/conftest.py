"""A small study of two systems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.study import write_systems

from stages.common.engine import execute
from stages.common.folders import read_pictures
from stages.common.manifest import Artifact
from stages.study.config import StudyConfig
from stages.study.key import Key, load_key
from stages.study.run import study_spec


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """What ``write_systems`` writes."""
    return write_systems(tmp_path)


@pytest.fixture
def make_study(folders: Path) -> Callable[..., Artifact]:
    """Make a study of the two systems with some settings."""

    def make(out: str = "study", seed: int = 0, systems: tuple[str, ...] = ("ours", "other"), **settings) -> Artifact:
        fields = {"targets": dict.fromkeys(systems), "forms": 4, "realism": 6, "emotions": 4, **settings}
        inputs = {name: read_pictures(folders / name) for name in ("source", *systems)}
        return execute(study_spec(systems), StudyConfig(**fields), inputs, folders / out, seed=seed)

    return make


@pytest.fixture
def study(make_study) -> Artifact:
    return make_study()


@pytest.fixture
def key(study: Artifact) -> Key:
    return load_key(study.root)
