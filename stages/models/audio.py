"""What a talking face hears: features of the sound for each frame, windows about a frame, and attention over them.

B clips, N samples at 16 kHz, M feature rows, T frames, C channels, w frames before and after.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model

SAMPLE_RATE_HZ = 16_000
MEL_BINS = 80
WINDOWS = (1, 2, 4, 8, 16)
"""The w of the thesis's Tab. 5.2."""
_HOP = 160
_MEL_WINDOW = 1024
_MEL_FLOOR = 1e-5
_SLOPE = 0.02

AudioKind = Literal["mel", "wav2vec", "wav2vec-logits"]
CHANNELS: dict[AudioKind, int] = {"mel": MEL_BINS, "wav2vec": 768, "wav2vec-logits": 29}
_ATTENTION_WIDTHS: dict[AudioKind, tuple[int, ...]] = {
    "mel": (MEL_BINS, 40, 20, 10, 5, 1),
    "wav2vec": (768, 192, 64, 16, 4, 1),
    "wav2vec-logits": (29, 16, 8, 4, 2, 1),
}
_EXPANDER_WIDTHS = (29, 32, 64, 64)


class LogMel(nn.Module):
    """Decimal logarithm of the mel spectrum (80 bins, 64 ms windows): (B, N) to (B, T, 80).

    Row t is of the sound about the middle of frame t. Raises ``ImportError`` without the package torchaudio.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        self.mel = MelSpectrogram(
            SAMPLE_RATE_HZ, n_fft=_MEL_WINDOW, hop_length=_HOP, n_mels=MEL_BINS, center=False, f_min=55, f_max=7600
        )

    def forward(self, sound_BN: Tensor, frames: int) -> Tensor:
        # Without this padding the first row would be of the middle of the first window, not of the first hop.
        around = (_MEL_WINDOW - _HOP) // 2
        mel_BCM = self.mel(F.pad(sound_BN, (around, around + _HOP - 1))).clamp_min(_MEL_FLOOR).log10()
        return F.interpolate(mel_BCM, frames, mode="linear", align_corners=False).transpose(1, 2)


class SpeechFeatures(nn.Module):
    """wav2vec 2.0 (Baevski et al., 2020): (B, N) to its last hidden state (B, T, 768) or letter logits (B, T, 29).

    Its 49 rows a second are interpolated linearly to the frames, ends on ends: ``stretch`` "before" the transformer,
    as the thesis's code does for hidden states, or "after" it, as it does for logits.
    """

    def __init__(self, network: Wav2Vec2Model, *, logits: bool, stretch: Literal["before", "after"]) -> None:
        super().__init__()
        if logits and network.aux is None:
            raise ValueError("this wav2vec 2.0 has no layer for letters")
        self.network = network
        self.logits = logits
        self.stretch = stretch

    def forward(self, sound_BN: Tensor, frames: int) -> Tensor:
        x_BMC, _ = self.network.feature_extractor(sound_BN, None)
        if self.stretch == "before":
            x_BMC = _stretch(x_BMC, frames)
        y_BMC: Tensor = self.network.encoder(x_BMC, None)
        if self.logits and self.network.aux is not None:
            y_BMC = self.network.aux(y_BMC)
        return _stretch(y_BMC, frames) if self.stretch == "after" else y_BMC


def _stretch(x_BMC: Tensor, frames: int) -> Tensor:
    return F.interpolate(x_BMC.transpose(1, 2), frames, mode="linear", align_corners=True).transpose(1, 2)


def windows(features_TC: Tensor, w: int, at: Tensor | None = None) -> Tensor:
    """Rows t-w..t+w for each frame t of ``at`` (all by default): (T', 2w + 1, C); at the ends the edge is repeated."""
    count = len(features_TC)
    centres = torch.arange(count, device=features_TC.device) if at is None else at
    offsets = torch.arange(-w, w + 1, device=features_TC.device)
    return features_TC[(centres[:, None] + offsets).clamp(0, count - 1)]


class TemporalAttention(nn.Module):
    """A weighted mean over a window (B, 2w + 1, C), of the rows or of what ``expander`` makes of them: (B, C').

    Five convolutions with leaky ReLU, a linear layer and a softmax give the weights (the thesis's 5.2.5 and its code).
    """

    def __init__(self, w: int, widths: Sequence[int], expander: nn.Module | None = None) -> None:
        super().__init__()
        length = 2 * w + 1
        self.score = _convolutions(widths)
        self.weigh = nn.Linear(length, length)
        self.expander = expander or nn.Identity()

    def weights(self, window_BLC: Tensor) -> Tensor:
        """(B, 2w + 1), positive, summing to one."""
        score_BL = self.score(window_BLC.transpose(1, 2)).squeeze(1)
        weights_BL: Tensor = self.weigh(score_BL).softmax(dim=1)
        return weights_BL

    def forward(self, window_BLC: Tensor) -> Tensor:
        values_BCL = self.expander(window_BLC.transpose(1, 2))
        return torch.einsum("bcl,bl->bc", values_BCL, self.weights(window_BLC))


def audio_attention(kind: AudioKind, w: int) -> TemporalAttention:
    """The attention for one kind of features: to (B, 80) of mel, (B, 768) of hidden states, (B, 64) of logits."""
    expander = _convolutions(_EXPANDER_WIDTHS) if kind == "wav2vec-logits" else None
    return TemporalAttention(w, _ATTENTION_WIDTHS[kind], expander)


def _convolutions(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for narrow, wide in itertools.pairwise(widths):
        layers += [nn.Conv1d(narrow, wide, 3, padding=1), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers)
