"""From the parameter names of Auto-AVSR, and of "Visual Speech Recognition for Multiple Languages", to facediff's.

Both are ESPnet's names for the conformer and the decoder. The former keeps the front end beside the encoder, the
latter within it, with the projection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stages.common.errors import BadInputError
from stages.models.lip_reader import LipReaderConfig

_PREFIX = "model."
"""Before all names in what Auto-AVSR's training saves."""
_NAMES: Sequence[tuple[str, str]] = [
    (r"(?:encoder\.)?frontend\.frontend3D\.0\.", "front.stem."),
    (r"(?:encoder\.)?frontend\.frontend3D\.1\.", "front.norm."),
    (r"proj_encoder\.|encoder\.embed\.0\.", "project."),
    (r"encoder\.after_norm\.", "encoder.norm."),
    (r"decoder\.embed\.0\.", "decoder.embedding."),
    (r"decoder\.after_norm\.", "decoder.layers.norm."),
    (r"decoder\.output_layer\.", "decoder.out."),
    (r"ctc\.ctc_lo\.", "ctc."),
]
_ENCODER_NAMES: Sequence[tuple[str, str]] = [
    (r"self_attn\.linear_q\.", "attention.query."),
    (r"self_attn\.linear_k\.", "attention.key."),
    (r"self_attn\.linear_v\.", "attention.value."),
    (r"self_attn\.linear_out\.", "attention.out."),
    (r"self_attn\.linear_pos\.", "attention.position."),
    (r"self_attn\.pos_bias_u", "attention.content_bias"),
    (r"self_attn\.pos_bias_v", "attention.position_bias"),
    (r"feed_forward_macaron\.w_1\.", "first.0."),
    (r"feed_forward_macaron\.w_2\.", "first.3."),
    (r"feed_forward\.w_1\.", "second.0."),
    (r"feed_forward\.w_2\.", "second.3."),
    (r"conv_module\.pointwise_con?v1\.", "convolution.first."),
    (r"conv_module\.pointwise_con?v2\.", "convolution.second."),
    (r"conv_module\.depthwise_conv\.", "convolution.depthwise."),
    (r"conv_module\.norm\.", "convolution.norm."),
    (r"norm_ff_macaron\.", "first_norm."),
    (r"norm_mha\.", "attention_norm."),
    (r"norm_conv\.", "convolution_norm."),
    (r"norm_ff\.", "second_norm."),
    (r"norm_final\.", "final_norm."),
]
_DECODER_NAMES: Sequence[tuple[str, str]] = [
    (r"self_attn\.linear_out\.", "self_attn.out_proj."),
    (r"src_attn\.linear_out\.", "multihead_attn.out_proj."),
    (r"feed_forward\.w_1\.", "linear1."),
    (r"feed_forward\.w_2\.", "linear2."),
    (r"(norm[123])\.", r"\1."),
]
_TRUNK = re.compile(r"(?:encoder\.)?frontend\.trunk\.layer([1-4])\.(.+)")
_ENCODER_LAYER = re.compile(r"encoder\.encoders\.(\d+)\.(.+)")
_DECODER_LAYER = re.compile(r"decoder\.decoders\.(\d+)\.(.+)")
_PART_OF_THREE = re.compile(r"(self_attn|src_attn)\.linear_([qkv])\.(weight|bias)")
_PACKED = {"self_attn": "self_attn", "src_attn": "multihead_attn"}


def lip_reader_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a video-only checkpoint as ``LipReader`` names them. Raises ``BadInputError`` for other names."""
    weights: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for full_name, value in state.items():
        name = full_name.removeprefix(_PREFIX)
        layer = _DECODER_LAYER.fullmatch(name)
        part = _PART_OF_THREE.fullmatch(layer[2]) if layer else None
        if layer and part:
            whole = f"decoder.layers.layers.{layer[1]}.{_PACKED[part[1]]}.in_proj_{part[3]}"
            packed.setdefault(whole, {})[part[2]] = value
        else:
            weights[_renamed(name)] = value
    for whole, parts in packed.items():
        if parts.keys() != set("qkv"):
            raise BadInputError(f"the checkpoint has not all parts of {whole}")
        weights[whole] = torch.cat([parts[key] for key in "qkv"])
    return weights


def describe_reader(weights: Mapping[str, Tensor], units: Sequence[str]) -> LipReaderConfig:
    """The sizes of a reader with these weights. Raises ``BadInputError`` when it has not so many units."""
    try:
        classes, dim = weights["ctc.weight"].shape
        channels = tuple(weights[f"front.trunk.{level}.0.conv1.weight"].shape[0] for level in range(4))
        heads = weights["encoder.layers.0.attention.content_bias"].shape[0]
        feedforward_dim = weights["encoder.layers.0.first.0.weight"].shape[0]
        kernel_size = weights["encoder.layers.0.convolution.depthwise.weight"].shape[-1]
    except KeyError as error:
        raise BadInputError(f"the checkpoint is of no conformer that reads lips: it has no {error.args[0]}") from error
    if classes != len(units) + 2:
        raise BadInputError(
            f"the checkpoint knows {classes - 2} units, the list has {len(units)}", "Give the list it was trained with"
        )
    return LipReaderConfig(
        units=tuple(units),
        trunk_channels=(channels[0], channels[1], channels[2], channels[3]),
        dim=dim,
        heads=heads,
        feedforward_dim=feedforward_dim,
        encoder_layers=_count(weights, r"encoder\.layers\.(\d+)\..*"),
        decoder_layers=_count(weights, r"decoder\.layers\.layers\.(\d+)\..*"),
        kernel_size=kernel_size,
    )


def _renamed(name: str) -> str:
    if found := _TRUNK.fullmatch(name):
        return f"front.trunk.{int(found[1]) - 1}.{found[2]}"
    if found := _ENCODER_LAYER.fullmatch(name):
        return f"encoder.layers.{found[1]}.{_first_match(found[2], _ENCODER_NAMES, name)}"
    if found := _DECODER_LAYER.fullmatch(name):
        return f"decoder.layers.layers.{found[1]}.{_first_match(found[2], _DECODER_NAMES, name)}"
    return _first_match(name, _NAMES, name)


def _first_match(rest: str, names: Sequence[tuple[str, str]], full_name: str) -> str:
    for pattern, new in names:
        if re.match(pattern, rest):
            return re.sub(f"^(?:{pattern})", new, rest)
    raise BadInputError(
        f"the checkpoint has an unknown array {full_name}",
        "Readers of video alone with a conformer and SiLU can be imported",
    )


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    return len({found[1] for name in weights if (found := re.fullmatch(pattern, name))})
