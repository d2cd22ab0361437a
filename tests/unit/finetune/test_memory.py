"""What a step of the thesis's size keeps in memory, counted on networks that are never filled in."""

import torch
from torch import nn

from stages.common.lora import add_lora
from stages.finetune.config import LoraSettings
from stages.models.denoiser import DenoiserConfig, build_denoiser
from stages.models.first_stage import FirstStageConfig, build_first_stage
from stages.models.ir_se50 import IrSe50

GIB = 2**30
BATCH = 4


def size(*modules):
    return sum(p.numel() * p.element_size() for module in modules for p in module.parameters())


def saved(compute, *networks):
    """Bytes that autograd keeps for the way back, beside the networks' own."""
    own = {p.untyped_storage()._cdata for n in networks for p in (*n.parameters(), *n.buffers())}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        compute()
    return sum(storage.nbytes() for storage in kept.values())


def vit_b_16():
    """CLIP's larger half: what twelve layers of 197 tokens keep."""
    layer = nn.TransformerEncoderLayer(768, 12, 3072, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)


def test_a_step_at_full_size_fits_eleven_gigabytes():
    with torch.device("meta"):
        denoiser = build_denoiser(DenoiserConfig()).eval()
        first_stage = build_first_stage(FirstStageConfig()).eval().requires_grad_(False)
        recogniser, clip = IrSe50().eval().requires_grad_(False), vit_b_16().requires_grad_(False)
        z = torch.empty(BATCH, 3, 32, 32, requires_grad=True)
        guided = torch.empty(2 * BATCH, 3, 32, 32), torch.zeros(2 * BATCH), torch.zeros(2 * BATCH, dtype=torch.long)
        networks = size(denoiser, first_stage, recogniser, clip)
        optimiser = 3 * size(denoiser)  # its gradient and both of AdamW's averages, where all weights are tuned
        one_evaluation = saved(lambda: denoiser(*guided), denoiser)
        judges = (
            saved(lambda: first_stage.decode_features(z), first_stage)
            + saved(lambda: clip(torch.empty(BATCH, 197, 768, requires_grad=True)), clip)
            + saved(lambda: recogniser(torch.empty(BATCH, 3, 112, 112, requires_grad=True)), recogniser)
        )
        add_lora(denoiser.unet, LoraSettings().rank, LoraSettings().modules)
        update = sum(p.numel() for p in denoiser.unet.parameters() if p.requires_grad)
    # The judges' activations are gone before the first evaluation is computed again, of which there is one at a time.
    assert networks + optimiser + max(one_evaluation, judges) < 7 * GIB
    assert 6 * one_evaluation > 11 * GIB, "without checkpointing it would not fit"
    assert update < 0.05 * size(denoiser) / 4
