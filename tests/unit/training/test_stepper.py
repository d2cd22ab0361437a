"""A step is the same step in one piece or in several."""

from pathlib import Path

import pytest
import torch
from accelerate.utils import DistributedType
from diffusers.models.attention_processor import AttnProcessor
from support.tiny_model import tiny_config
from torch import nn

from stages.common.errors import ConfigError
from stages.common.stage import RunContext
from stages.common.training.config import LoopConfig
from stages.common.training.stepper import Stepper
from stages.ldm.run import LDM
from stages.models.denoiser import build_denoiser


def loop(**changes):
    return LoopConfig(**{"steps": 3, "batch_size": 6, "learning_rate": 0.1} | changes)


def stepped(**changes):
    """What three steps of a linear regression show, and its weights."""
    config = loop(**changes)
    stepper = Stepper(config, RunContext(Path()))
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    network, optimizer = stepper.prepare(model, torch.optim.Adam(model.parameters()))
    draws = {"x": torch.randn(6, 4), "y": torch.randn(6, 1)}

    def loss_of(piece):
        loss = (network(piece["x"]).float() - piece["y"]).square().mean()
        return loss, {"loss": loss}

    rows = [stepper.descend(network, optimizer, draws, loss_of, 0.1)["loss"] for _ in range(3)]
    return rows, model.weight.detach()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_pieces_of_any_size_add_up_to_the_batch(size):
    whole, weights = stepped(gradient_clip=0.5)
    pieces, same = stepped(gradient_clip=0.5, micro_batch_size=size)
    assert pieces == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(same, weights)
    assert whole[-1] < whole[0]


def test_the_gradient_is_clipped_over_the_whole_batch():
    assert not torch.equal(stepped(gradient_clip=1e-3)[1], stepped()[1])


def test_bf16_is_close_and_not_the_same():
    exact, coarse = stepped()[0], stepped(precision="bf16")[0]
    assert coarse == pytest.approx(exact, rel=0.05)
    assert coarse != exact


def test_fp16_needs_cuda():
    with pytest.raises(ConfigError, match="fp16 needs a CUDA device"):
        Stepper(loop(precision="fp16"), RunContext(Path()))


def test_sharded_weights_are_refused(monkeypatch):
    monkeypatch.setattr("accelerate.Accelerator.distributed_type", DistributedType.FSDP)
    with pytest.raises(ConfigError, match="FSDP"):
        Stepper(loop(), RunContext(Path()))


def test_another_precision_in_the_same_process_is_what_is_asked_for():
    first = Stepper(loop(precision="bf16"), RunContext(Path()))
    second = Stepper(loop(), RunContext(Path()))
    assert first.config.precision == "bf16"
    assert second.accelerator.mixed_precision == "no"


@pytest.mark.parametrize(("precision", "plain"), [("bf16", True), ("fp32", False)])
def test_attention_is_plain_where_bf16_trains_on_a_cpu(precision, plain):
    denoiser = build_denoiser(tiny_config(LDM).network)
    Stepper(loop(precision=precision), RunContext(Path())).suit_attention(denoiser.unet)
    kinds = {isinstance(processor, AttnProcessor) for processor in denoiser.unet.attn_processors.values()}
    assert kinds == {plain}
