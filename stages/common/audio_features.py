"""Features of a clip's sound, one row a frame, made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common import torch_hub
from stages.common.config import StageConfig
from stages.common.errors import BadInputError, MissingModelError
from stages.common.kept import keep
from stages.common.media.sound import decode_wav
from stages.models.audio import AudioKind, LogMel, SpeechFeatures
from stages.models.talker import TalkerConfig

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model

_VERSION = 1
"""Rises when equal sound would give other features."""
_WAV2VEC_URL = "https://download.pytorch.org/torchaudio/models/wav2vec2_fairseq_base_ls960_asr_ls960.pth"
_SHORTEST_SAMPLES = 400
"""What the first row of wav2vec 2.0 sees."""


class AudioConfig(StageConfig):
    """``mel`` needs no weights. ``stretch`` says where wav2vec 2.0's rows are interpolated to the frames."""

    kind: AudioKind = "mel"
    stretch: Literal["before", "after"] = "before"


def audio_of(talker: TalkerConfig) -> AudioConfig | None:
    """What a talker hears; None for one that does not listen."""
    return None if talker.audio is None else AudioConfig(kind=talker.audio, stretch=talker.audio_stretch)


class AudioEncoder:
    """Features (T, C) of sound, from the cache where they were made before.

    Raises ``MissingModelError`` when they have to be made and the weights cannot be had.
    """

    def __init__(self, config: AudioConfig, device: str = "cpu") -> None:
        self._config = config
        self._device = device
        self._network: LogMel | SpeechFeatures | None = None

    def encode(self, wav: bytes, frames: int) -> NDArray[np.float32]:
        """Features of a WAV file of a clips artifact for its frames; equal sound is encoded once."""
        content = [str(_VERSION), self._config.model_dump_json(), str(frames), hashlib.sha256(wav).hexdigest()]
        return keep("audio", content, lambda: {"features": self.features(decode_wav(wav), frames)})["features"]

    @torch.no_grad()
    def features(self, samples: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Features of sound -1..1 (N,) at 16 kHz for the frames that it lasts, made anew."""
        if len(samples) < _SHORTEST_SAMPLES:
            raise BadInputError(f"{len(samples)} samples of sound are too few", reason="too short")
        if self._network is None:
            self._network = _load(self._config).to(self._device).eval()
        sound_BN = torch.from_numpy(samples)[None].to(self._device)
        features: NDArray[np.float32] = self._network(sound_BN, frames)[0].float().cpu().numpy()
        return features


def _load(config: AudioConfig) -> LogMel | SpeechFeatures:
    try:
        if config.kind == "mel":
            return LogMel()
        return SpeechFeatures(load_wav2vec(), logits=config.kind == "wav2vec-logits", stretch=config.stretch)
    except ImportError as error:
        raise MissingModelError("features of sound need the package torchaudio", "Install facediff[talk]") from error


def load_wav2vec() -> Wav2Vec2Model:
    """wav2vec 2.0 base, finetuned on 960 h of LibriSpeech, with its 29 letters.

    Raises ``MissingModelError`` without its weights, ``ImportError`` without torchaudio.
    """
    if torch_hub.missing([_WAV2VEC_URL]) and not torch_hub.fetch([_WAV2VEC_URL]):
        raise MissingModelError(
            "the weights of wav2vec 2.0 are not here and cannot be fetched", "Use mel features, or go online once"
        )
    from torchaudio.pipelines import WAV2VEC2_ASR_BASE_960H

    try:
        network: Wav2Vec2Model = WAV2VEC2_ASR_BASE_960H.get_model()
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        path = torch_hub.checkpoints_folder() / _WAV2VEC_URL.rpartition("/")[2]
        raise MissingModelError(f"{path} does not hold wav2vec 2.0", "Delete it, to fetch it again") from error
    return network
