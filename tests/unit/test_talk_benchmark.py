"""The benchmark of talking faces: what it counts and compares."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from support.fake_editor import make_face
from support.tiny_talker import tiny_talking_model

import benchmarks.talk as module
from benchmarks.talk import Case, compare, dub, measure_drift, measure_dubbing, measure_steps, print_talk
from stages.talk.config import TalkConfig
from stages.talk.listening import Heard


def heard(seed, frames):
    rows = torch.randn(frames, 80, generator=torch.Generator().manual_seed(seed))
    return Heard(rows, np.ones(frames, np.float32), Fraction(25), Fraction(frames, 25))


@pytest.fixture(scope="module")
def cases():
    random = np.random.default_rng(0)
    landmarks = np.stack([make_face(0, 0, 32).landmarks] * 4).astype(np.float32)
    return [
        Case(str(n), random.integers(0, 255, (4, 32, 32, 3)).astype(np.uint8), landmarks, heard(n, 4), heard(9, 4))
        for n in range(2)
    ]


def test_equal_frames_are_equal(cases):
    found = compare(cases[0].frames, cases[0].frames, cases[0].tops)
    assert found["ssim"].tolist() == pytest.approx([1] * 4)
    assert found["mouth_db"].min() > 90
    changed = cases[0].frames.copy()
    changed[:, 0] ^= 128
    found = compare(cases[0].frames, changed, cases[0].tops)
    assert found["psnr_db"].max() < 40
    assert found["mouth_db"].min() > 90


def test_all_is_measured_and_shown(cases, monkeypatch, capsys):
    monkeypatch.setattr(module, "STEPS", (1, 2))
    model, config = tiny_talking_model(), TalkConfig(steps=2, guidance=2.0)
    dubbing = measure_dubbing(model, cases, config)
    steps = measure_steps(model, cases[:1], config, 2)
    drift = measure_drift(model, cases[:1], config, 2)
    assert (dubbing["clips"], dubbing["frames"], dubbing["evaluations"]) == (2, 8, 4)
    assert dubbing["lip_correlation"] != dubbing["lip_correlation_wrong_sound"]
    assert [row["steps"] for row in steps] == [1, 2]
    assert [len(row["psnr_db"]) for row in drift] == [2] * len(module.DRIFT_CONTROLS)
    (alone,) = dub(model, [(cases[0], cases[0].heard)], config, range(4))
    first = compare(cases[0].frames, alone, cases[0].tops)["mouth_db"].mean()
    together = dub(model, [(case, case.heard) for case in cases], config, range(4))
    assert np.abs(together[0].astype(int) - alone).max() <= 1
    assert drift[-1]["psnr_db"][0] == pytest.approx(first)
    print_talk(dubbing, steps, drift)
    shown = capsys.readouterr().out
    assert "| evaluations of the network a frame" in shown
    assert "reference every 25 frames" in shown
