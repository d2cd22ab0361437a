"""How much of a face a way into noise and back loses at guidance 1, and what it costs in network evaluations."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from benchmarks.editing import BATCH
from benchmarks.tables import print_table
from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError
from stages.common.images import read_rgb
from stages.common.manifest import Artifact
from stages.common.tensors import to_model_range
from stages.evaluate.statistics import psnr_db
from stages.models.process import Estimate
from stages.models.sampler_names import RoundTripName
from stages.models.samplers import ROUND_TRIPS, Predict

GOAL_DDIM_DB = 30.0
REFERENCE: tuple[RoundTripName, int] = ("ddim", 40)
WAYS: tuple[tuple[RoundTripName, int], ...] = (
    ("ddim", 20),
    REFERENCE,
    ("thesis", 40),
    ("dpmpp-2m", 10),
    ("dpmpp-2m", 20),
    ("exact", 20),
    ("exact", 40),
)


class _Counted:
    """A ``Predict`` that counts its evaluations."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self.count = 0

    def __call__(self, z_BCHW: Tensor, t: int) -> Estimate:
        self.count += 1
        return self._predict(z_BCHW, t)


def load_faces(faces: Artifact, split: str, limit: int, size_px: int) -> Tensor:
    """The first ``limit`` accepted faces of a split, in order of the SHA-256 of their keys: (N, 3, S, S) in -1..1."""
    rows = pq.read_table(
        faces.path("faces.parquet"), columns=["sample_key", "split", "status", "face_path"]
    ).to_pylist()
    chosen = [row for row in rows if row["status"] == "ok" and row["split"] == split]
    chosen.sort(key=lambda row: hashlib.sha256(row["sample_key"].encode()).digest())
    pictures = [read_rgb(faces.path(row["face_path"])) for row in chosen[:limit]]
    if not pictures or any(picture.shape != (size_px, size_px, 3) for picture in pictures):
        raise BadInputError(f"{faces.root} has no {split} faces of {size_px} pixels")
    return to_model_range(pictures)


def measure_inversion(editor: Editor, images_NCHW: Tensor, strength: int = 500) -> dict[str, Any]:
    """One row a way: PSNR of decoded round trips to the decoded untouched latents, and the latents' relative error.

    The label is the likeliest that the model can do. A PSNR is infinite where the first stage decodes the same codes.
    """
    rows = [_measure(editor, images_NCHW, *way, strength) for way in WAYS]
    return {"faces": len(images_NCHW), "strength": strength, "ways": rows}


@torch.no_grad()
def _measure(editor: Editor, images_NCHW: Tensor, name: RoundTripName, steps: int, strength: int) -> dict[str, Any]:
    way, abar_T = ROUND_TRIPS[name], editor.process.abar_T
    timesteps = way.timesteps(strength, steps, abar_T)
    supported = torch.tensor([EMOTIONS.index(emotion) for emotion in editor.supported])
    psnrs: list[float] = []
    errors: list[float] = []
    there = back = 0
    started = time.perf_counter()
    for images in images_NCHW.split(BATCH):
        labels = supported[editor.classify(images).cpu()[:, supported].argmax(dim=1)]
        z0 = editor.first_stage.encode(images.to(editor.device))
        predict = _Counted(editor.predict(labels, torch.ones(len(images))))
        noisy = way.invert(predict, z0, timesteps, abar_T)
        there = predict.count
        found = way.sample(predict, noisy, timesteps, abar_T)
        back = predict.count - there
        errors += ((found - z0).flatten(1).norm(dim=1) / z0.flatten(1).norm(dim=1)).tolist()
        pairs = zip(_decode(editor, found), _decode(editor, z0), strict=True)
        psnrs += [psnr_db(a, b, 2.0) for a, b in pairs]
    return {
        "sampler": name,
        "steps": steps,
        "evaluations": {"there": there, "back": back},
        "psnr_db": {"median": float(np.median(psnrs)), "least": min(psnrs)},
        "identical": sum(np.isinf(psnrs).tolist()),
        "latent_error": float(np.median(errors)),
        "seconds_a_face": (time.perf_counter() - started) / len(images_NCHW),
    }


def print_inversion(result: dict[str, Any]) -> None:
    reference = next(r for r in result["ways"] if (r["sampler"], r["steps"]) == REFERENCE)["psnr_db"]["median"]
    goals = {REFERENCE: f">= {GOAL_DDIM_DB:.0f} dB", ("dpmpp-2m", 20): f">= {reference:.1f} dB (ddim, 40)"}
    print_table(
        f"Round trips of {result['faces']} faces to level {result['strength']}, guidance 1 (medians)",
        ["sampler", "steps", "evaluations", "decoded", "same picture", "latents", "goal"],
        [_cells(row, goals.get((row["sampler"], row["steps"]), "")) for row in result["ways"]],
    )


def _cells(row: dict[str, Any], goal: str) -> Sequence[str]:
    psnr = row["psnr_db"]
    return [
        row["sampler"],
        str(row["steps"]),
        f"{row['evaluations']['there']} + {row['evaluations']['back']}",
        f"{psnr['median']:.1f} dB (least {psnr['least']:.1f})",
        str(row["identical"]),
        f"{row['latent_error']:.2g}",
        goal,
    ]


def _decode(editor: Editor, z_BCHW: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(editor.first_stage.decode(z_BCHW).clamp(-1, 1).cpu().numpy())
