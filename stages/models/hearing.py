"""From a window of sound features to one vector.

B windows, L = 2w + 1 rows, C channels of the features, D of the vector.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from stages.models.audio import CHANNELS, AudioKind, audio_attention

HearingKind = Literal["attention", "whole"]
VECTOR_DIMS: dict[AudioKind, int] = {"mel": 256, "wav2vec": 768, "wav2vec-logits": 64}
"""D. The thesis's are 768 and 64; mel is ours."""
_HIDDEN = 512
_MEL_MEAN, _MEL_SPREAD = -2.0, 1.5
"""Of decimal logarithms of speech, roughly."""


class Hearing(nn.Module):
    """(B, 2w + 1, C) to (B, D).

    ``attention`` is the thesis's weighted mean over the window (5.2.5); the 80 values of mel are then widened by two
    layers. ``whole`` puts all rows one after another through two layers: unlike a mean it knows what came before what,
    which rows of mel, that see 64 ms each, do not tell by themselves.
    """

    def __init__(self, audio: AudioKind, window: int, kind: HearingKind) -> None:
        super().__init__()
        self._is_mel = audio == "mel"
        self.attention = audio_attention(audio, window) if kind == "attention" else None
        channels, dim = CHANNELS[audio], VECTOR_DIMS[audio]
        if kind == "whole":
            self.layers: nn.Module = _two_layers(channels * (2 * window + 1), dim)
        else:
            self.layers = _two_layers(channels, dim) if self._is_mel else nn.Identity()

    def forward(self, window_BLC: Tensor) -> Tensor:
        if self._is_mel:
            window_BLC = (window_BLC - _MEL_MEAN) / _MEL_SPREAD
        vector_BD: Tensor = self.layers(self.attention(window_BLC) if self.attention else window_BLC.flatten(1))
        return vector_BD


def _two_layers(width: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, dim))
