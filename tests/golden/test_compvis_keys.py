"""Which parameter of CompVis's becomes which of diffusers': the accepted list, in ``compvis_keys.txt``."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from support.compvis import AUTOENCODER, UNET, make_twin

from stages.convert.compvis_keys import autoencoder_weights, unet_weights

FILE = Path(__file__).parent / "compvis_keys.txt"
UPDATE = os.environ.get("FACEDIFF_UPDATE_GOLDEN") == "1"


def test_key_mapping():
    state = make_twin().state_dict()
    names = list(state)
    numbered = {name: torch.full_like(value, number) for number, (name, value) in enumerate(state.items())}
    converted = {
        **{f"unet.{n}": v for n, v in unet_weights(numbered, UNET["num_res_blocks"], ema=False).items()},
        **{
            f"vqvae.{n}": v
            for n, v in autoencoder_weights(numbered, len(AUTOENCODER["ch_mult"]), prefix="first_stage_model.").items()
        },
    }
    shown = "".join(sorted(f"{names[int(v.flatten()[0])]} -> {name}\n" for name, v in converted.items()))
    if UPDATE:
        FILE.write_text(shown, "utf-8")
    assert FILE.read_text("utf-8") == shown, "if this is meant: make golden"
