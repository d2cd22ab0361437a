"""A wav2vec 2.0 of the real class, small and with random weights."""

from __future__ import annotations

import torch
from torchaudio.models import Wav2Vec2Model, wav2vec2_model

_STRIDES = [(8, 10, 5), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 2, 2), (8, 2, 2)]


def tiny_wav2vec(letters: int | None = 29) -> Wav2Vec2Model:
    """49 rows a second of 16 channels, in evaluation mode; equal at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return wav2vec2_model(
            extractor_mode="group_norm",
            extractor_conv_layer_config=_STRIDES,
            extractor_conv_bias=False,
            encoder_embed_dim=16,
            encoder_projection_dropout=0.0,
            encoder_pos_conv_kernel=8,
            encoder_pos_conv_groups=2,
            encoder_num_layers=2,
            encoder_num_heads=2,
            encoder_attention_dropout=0.0,
            encoder_ff_interm_features=32,
            encoder_ff_interm_dropout=0.0,
            encoder_dropout=0.0,
            encoder_layer_norm_first=False,
            encoder_layer_drop=0.0,
            aux_num_out=letters,
        ).eval()
