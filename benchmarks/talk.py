"""How well a talker dubs real clips with their own sound, in how many steps, how it drifts, and what silence does.

T frames, S side of the crops, L landmarks.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.tables import print_table
from stages.common.audio_features import audio_of
from stages.common.clips import ClipDataset
from stages.common.face.detect import DlibDetector
from stages.common.media.sound import encode_wav
from stages.common.talking import TalkingModel
from stages.common.tensors import from_model_range, to_model_range
from stages.evaluate.pixels import PixelMetrics
from stages.evaluate.sharing import count_evaluations
from stages.evaluate.statistics import psnr_db
from stages.evaluate.talk.mouth import lip_distance
from stages.models.mouth_mask import mask_top
from stages.talk.config import TalkConfig
from stages.talk.listening import Heard, listen
from stages.talk.speaker import Mouths

STEPS = (4, 8, 20, 200)
DRIFT_CONTROLS: tuple[tuple[str, dict[str, float]], ...] = (
    ("none, fresh noise", {"anchor": 0.0, "noise_memory": 0.0}),
    ("same noise", {"anchor": 0.0}),
    ("same noise, reference every 25 frames", {"anchor": 0.0, "anchor_every": 25}),
    ("same noise, identity 60 % reference (default)", {}),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A clip: crops (T, S, S, 3), landmarks (T, 68, 2) in their pixels, what the model hears of it and of silence."""

    key: str
    frames: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    heard: Heard
    silence: Heard

    @property
    def tops(self) -> NDArray[np.float32]:
        return mask_top(self.landmarks)

    def first(self, frames: int) -> Case:
        """The same clip, cut short; the sound goes on."""
        return replace(self, frames=self.frames[:frames], landmarks=self.landmarks[:frames])


def load_cases(clips: ClipDataset, model: TalkingModel, limit: int) -> list[Case]:
    cases = []
    for index in range(min(limit, len(clips))):
        sounds = clips.sound_file(index), encode_wav(np.zeros_like(clips.sound(index)))
        heard, silence = (_hear(sound, model) for sound in sounds)
        cases.append(Case(clips.keys[index], clips.frames(index), clips.landmarks(index), heard, silence))
    return cases


def _hear(wav: bytes, model: TalkingModel) -> Heard:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(wav)
        file.flush()
        return listen(Path(file.name), audio_of(model.talker.config), model.fps, model.device, model.pause_C)


def dub(
    model: TalkingModel, jobs: Sequence[tuple[Case, Heard]], config: TalkConfig, order: Sequence[int]
) -> list[NDArray[np.uint8]]:
    """The crops (T, S, S, 3) that the talker makes of frames in this order, of all clips with their sounds at once."""
    mouths = Mouths(model, [heard for _, heard in jobs], config)
    made = []
    for n, k in enumerate(order):
        x = to_model_range([case.frames[k] for case, _ in jobs]).to(model.device)
        if n == 0:
            mouths.meet(x)
        points = torch.from_numpy(np.stack([case.landmarks[k] for case, _ in jobs])).to(model.device)
        frames, _ = mouths.make(x, points, (k + Fraction(1, 2)) / jobs[0][0].heard.fps)
        made.append(from_model_range(frames))
    return list(np.stack(made, axis=1))


def compare(real: NDArray[np.uint8], made: NDArray[np.uint8], tops: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """PSNR in dB and SSIM of each frame over the whole crop as it was made, and PSNR below the mask's ``tops`` (T,)."""
    found = PixelMetrics(["psnr", "ssim"])(real, made)
    mouths = [psnr_db(a[max(0, int(top)) :], b[max(0, int(top)) :]) for a, b, top in zip(real, made, tops, strict=True)]
    return {"psnr_db": found["psnr"], "ssim": found["ssim"], "mouth_db": np.array(mouths)}


def lip_openings(detector: DlibDetector, crops: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Any:
    """Mean distance of the inner lips in each frame (T,), in crop pixels, by dlib in the box of the real landmarks."""
    found = []
    for crop, points in zip(crops, landmarks, strict=True):
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        found.append(detector.place(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (left, top, right, bottom)).landmarks)
    return lip_distance(np.stack(found))


def measure_dubbing(model: TalkingModel, cases: Sequence[Case], config: TalkConfig) -> dict[str, Any]:
    """Each clip with its own sound, with another clip's, and with silence."""
    detector, order = DlibDetector(), range(min(len(case.frames) for case in cases))
    started = time.perf_counter()
    with count_evaluations(model.talker.unet) as counted:
        own = dub(model, [(case, case.heard) for case in cases], config, order)
    cost = {"evaluations": counted.samples / (len(cases) * len(order))}
    cost["frames_hz"] = len(cases) * len(order) / (time.perf_counter() - started)
    others = [(case, cases[(number + 1) % len(cases)].heard) for number, case in enumerate(cases)]
    wrong = dub(model, others, config, order)
    silent = dub(model, [(case, case.silence) for case in cases], config, order)
    scores = [_scores(detector, *each) for each in zip(cases, own, wrong, silent, strict=True)]
    means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
    return {"clips": len(cases), "frames": len(cases) * len(order), **cost, **means}


def _scores(detector: DlibDetector, case: Case, made: Any, wrong: Any, silent: Any) -> dict[str, float]:
    case = case.first(len(made))
    real = lip_openings(detector, case.frames, case.landmarks)
    own, others, closed = (lip_openings(detector, crops, case.landmarks) for crops in (made, wrong, silent))
    quality = {name: float(values.mean()) for name, values in compare(case.frames, made, case.tops).items()}
    return {
        **quality,
        "lip_correlation": float(np.corrcoef(real, own)[0, 1]),
        "lip_correlation_wrong_sound": float(np.corrcoef(real, others)[0, 1]),
        "opening_real_px": float(real.mean()),
        "opening_px": float(own.mean()),
        "opening_silence_px": float(closed.mean()),
        "opening_closed_px": float(np.percentile(real, 10)),
    }


def measure_steps(model: TalkingModel, cases: Sequence[Case], config: TalkConfig, frames: int) -> list[dict[str, Any]]:
    """Quality by the number of steps, over the first ``frames`` of each clip."""
    rows = []
    for steps in STEPS:
        started = time.perf_counter()
        jobs = [(case, case.heard) for case in cases]
        made = dub(model, jobs, config.model_copy(update={"steps": steps}), range(frames))
        seconds = time.perf_counter() - started
        found = [
            compare(case.frames[:frames], crops, case.tops[:frames]) for case, crops in zip(cases, made, strict=True)
        ]
        means = {name: float(np.mean([each[name].mean() for each in found])) for name in found[0]}
        rows.append({"steps": steps, "frames_hz": len(cases) * frames / seconds, **means})
    return rows


def measure_drift(model: TalkingModel, cases: Sequence[Case], config: TalkConfig, rounds: int) -> list[dict[str, Any]]:
    """PSNR below the mask of clips played forth and back ``rounds`` times in one go, the mean of each round."""
    count = min(len(case.frames) for case in cases)
    order = [k if n % 2 == 0 else count - 1 - k for n in range(rounds) for k in range(count)]
    rows = []
    for name, change in DRIFT_CONTROLS:
        made = dub(model, [(case, case.heard) for case in cases], config.model_copy(update=change), order)
        pairs = zip(cases, made, strict=True)
        psnr = np.stack([compare(case.frames[order], crops, case.tops[order])["mouth_db"] for case, crops in pairs])
        by_round = psnr.reshape(-1, rounds, count).mean(axis=(0, 2))
        rows.append({"control": name, "psnr_db": by_round.tolist(), "last_db": float(psnr[:, -count:].min())})
    return rows


def print_talk(dubbing: dict[str, Any], steps: Sequence[dict[str, Any]], drift: Sequence[dict[str, Any]]) -> None:
    d = dubbing
    print_table(
        f"Dubbing {d['clips']} clips ({d['frames']} frames), means",
        ["what", "measured"],
        [
            ["PSNR below the mask, own sound", f"{d['mouth_db']:.2f} dB"],
            ["PSNR of the crop, own sound", f"{d['psnr_db']:.2f} dB"],
            ["SSIM of the crop, own sound", f"{d['ssim']:.3f}"],
            ["correlation of the inner lips' distance with the real one", f"{d['lip_correlation']:.2f}"],
            ["the same with another clip's sound", f"{d['lip_correlation_wrong_sound']:.2f}"],
            ["inner lips' distance: real, own sound", f"{d['opening_real_px']:.2f} px, {d['opening_px']:.2f} px"],
            [
                "under silence (real mouth at its 10th percentile)",
                f"{d['opening_silence_px']:.2f} px ({d['opening_closed_px']:.2f} px)",
            ],
            ["evaluations of the network a frame", f"{d['evaluations']:.0f}"],
            ["frames a second, crops alone, all clips side by side", f"{d['frames_hz']:.2f}"],
        ],
    )
    rows = []
    for r in steps:
        difference_db = r["mouth_db"] - steps[-1]["mouth_db"]
        quality = [f"{r['mouth_db']:.2f} dB", f"{difference_db:+.2f} dB", f"{r['ssim']:.3f}"]
        rows.append([str(r["steps"]), *quality, f"{r['frames_hz']:.2f}"])
    print_table(
        "Steps (DDIM)", ["steps", "PSNR below the mask", f"to {steps[-1]['steps']} steps", "SSIM", "frames/s"], rows
    )
    print_table(
        "Drift: PSNR below the mask, of each round of a long synthesis",
        ["control", *(f"round {n + 1}" for n in range(len(drift[0]["psnr_db"]))), "worst frame of the last"],
        [[r["control"], *(f"{value:.2f} dB" for value in r["psnr_db"]), f"{r['last_db']:.2f} dB"] for r in drift],
    )
