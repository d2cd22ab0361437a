"""Offset and confidence of sound and mouth as SyncNet tells them, with the authors' published weights.

Faces are cut from the landmarks' box, enlarged to what the authors' pipeline cuts around its detector's: a crop that is
near to theirs, not equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.common.errors import BadInputError, MissingModelError
from stages.common.face.track import square_box
from stages.common.face.warp import align_face
from stages.common.media.sound import SAMPLE_RATE_HZ, to_pcm
from stages.evaluate.talk.clips import TalkingClip
from stages.models.syncnet import FACE_PX, WINDOW_FRAMES, WINDOW_STEPS, SyncNet

FPS = 25.0
REACH_FRAMES = 15
_STEPS_PER_FRAME = 4
_MARGIN = 1.8
"""The authors cut 1.4 times their detector's box, which has the forehead in it: about 1.3 times the landmarks'."""
_BATCH = 20


@dataclass(frozen=True, slots=True)
class SyncNetResult:
    """``offset_ms`` is positive where the sound comes after the mouth; LSE-C is ``confidence``, LSE-D ``distance``."""

    offset_ms: float
    confidence: float
    distance: float


def load_syncnet(path: Path, device: str = "cpu") -> SyncNet:
    """The published weights. Raises ``MissingModelError`` for a file that is something else."""
    network = SyncNet()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        # torch.load and load_state_dict let many kinds of error through for a damaged or another file.
        raise MissingModelError(f"{path} does not hold SyncNet's weights", "Delete it, and get it again") from error
    return network.to(device).eval().requires_grad_(False)


def find_offset(network: SyncNet, clip: TalkingClip, device: str = "cpu") -> SyncNetResult:
    """The shift at which embeddings of faces and sound are nearest, on average over windows (authors' evaluation).

    d(k) = mean_t |v_t - a_{t+k}|, |k| <= 15 frames; offset = argmin d, confidence = median d - min d, distance = min d.
    Raises ``BadInputError`` for another frame rate than 25, or a clip that is too short.
    """
    if clip.fps != FPS:
        raise BadInputError(f"SyncNet needs {FPS:g} frames a second, not {clip.fps:g}", reason="other frame rate")
    frames = min(len(clip.frames), len(clip.samples) * int(FPS) // SAMPLE_RATE_HZ)
    windows = frames - WINDOW_FRAMES
    if windows <= 0:
        raise BadInputError(f"{frames} frames are too few for SyncNet", reason="too short")
    faces, cepstra = cut_faces(clip), _cepstra(clip.samples)
    v_ND, a_ND = [], []
    for start in range(0, windows, _BATCH):
        at = range(start, min(start + _BATCH, windows))
        shown = torch.stack([faces[:, t : t + WINDOW_FRAMES] for t in at]).float()
        heard = torch.stack([cepstra[:, s * _STEPS_PER_FRAME :][:, :WINDOW_STEPS] for s in at])
        v_ND.append(network.embed_faces(shown.to(device)).cpu())
        a_ND.append(network.embed_sound(heard[:, None].to(device)).cpu())
    return compare_embeddings(torch.cat(v_ND), torch.cat(a_ND))


def compare_embeddings(v_ND: Tensor, a_ND: Tensor) -> SyncNetResult:
    """Embeddings of the same windows (N, D) to the result; beyond its ends the sound counts as zeros, as published."""
    padded = F.pad(a_ND, (0, 0, REACH_FRAMES, REACH_FRAMES))
    shifted = [padded[k : k + len(v_ND)] for k in range(2 * REACH_FRAMES + 1)]
    distances = torch.stack([F.pairwise_distance(v_ND, a).mean() for a in shifted])
    nearest = int(distances.argmin())
    least = float(distances[nearest])
    return SyncNetResult((nearest - REACH_FRAMES) * 1000 / FPS, float(distances.median()) - least, least)


def cut_faces(clip: TalkingClip) -> Tensor:
    """The face in each frame as BGR 0..255 (3, T, 224, 224), in a box that stays where the clip's landmarks are."""
    box = square_box(clip.landmarks.reshape(-1, 2).astype(np.float64), 0).enlarged(_MARGIN)
    matrix = box.matrix(FACE_PX)
    cut = np.stack([align_face(frame, matrix, FACE_PX) for frame in clip.frames])
    return torch.from_numpy(np.ascontiguousarray(cut[..., ::-1])).permute(3, 0, 1, 2)


def _cepstra(samples: NDArray[np.float32]) -> Tensor:
    """Cepstra (13, steps of 10 ms) of 16-bit samples, and the last ones again where a window would lack some."""
    from python_speech_features import mfcc

    found = mfcc(to_pcm(samples), SAMPLE_RATE_HZ)
    padded = np.pad(found, ((0, WINDOW_STEPS), (0, 0)), mode="edge")
    return torch.from_numpy(np.ascontiguousarray(padded.T)).float()
