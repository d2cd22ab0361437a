"""Optimiser steps on one or many processes: the same steps on all, whatever their number.

A step is described by its draws: tensors (batch_size, ...) that are a function of (seed, step) alone, equal in every
process. Each process takes its own part of them, in pieces of at most ``micro_batch_size``, and the gradients are
averaged over the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from stages.common.errors import ConfigError
from stages.common.processes import join_processes, process_count
from stages.common.stage import RunContext
from stages.common.training.config import LoopConfig

Draws = dict[str, Tensor]
LossOf = Callable[[Draws], tuple[Tensor, dict[str, Tensor]]]

_MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class Stepper:
    """Where and how networks take steps. Raises ``ConfigError`` when this device cannot do what is asked.

    ``some_unused``: in some steps the loss does not depend on all weights.
    """

    def __init__(self, config: LoopConfig, context: RunContext, *, some_unused: bool = False) -> None:
        on_cpu = torch.device(context.device).type == "cpu"
        if config.precision == "fp16" and on_cpu:
            raise ConfigError("loop.precision=fp16 needs a CUDA device", "Use bf16 or fp32 on a CPU")
        if process_count() > 1:
            join_processes(context.device)
        # accelerate keeps one precision for the whole process; another training in it may want another.
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(
            cpu=on_cpu,
            mixed_precision=_MIXED_PRECISION[config.precision],
            dynamo_backend="inductor" if config.compile else None,
            log_with=context.tracker,
            project_dir=context.out,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=some_unused)],
        )
        if self.accelerator.distributed_type is DistributedType.FSDP:
            raise ConfigError(
                "sharded weights (FSDP) are not supported", "The networks fit one GPU: launch without FSDP"
            )
        self.config = config
        self.device = context.device
        self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
        if config.batch_size % self.count:
            raise ConfigError(f"loop.batch_size {config.batch_size} is not a multiple of the {self.count} processes")

    @property
    def leads(self) -> bool:
        return bool(self.accelerator.is_main_process)

    @property
    def on_cpu(self) -> bool:
        return torch.device(self.device).type == "cpu"

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout in which convolutions train fastest: on CPUs, group norm is slow in channels-last."""
        return torch.contiguous_format if self.on_cpu else torch.channels_last

    def place(self, module: nn.Module) -> None:
        """Move a network to the device, in the layout that suits it."""
        module.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload]

    def suit_attention(self, unet: UNet2DConditionModel) -> None:
        """On CPUs the fused attention's backward pass in bf16 is slower than plain matrix products."""
        if self.on_cpu and self.config.precision == "bf16":
            unet.set_attn_processor(AttnProcessor())

    def prepare(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """The network and optimiser to step with: compiled and distributed as asked for, with shared weights."""
        self.place(module)
        network, prepared = self.accelerator.prepare(module, optimizer)
        return network, prepared

    def to_device(self, draws: Draws) -> Draws:
        """The same draws where the networks are."""
        return {name: value.to(self.device, non_blocking=True) for name, value in draws.items()}

    def autocast(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = self.accelerator.autocast()
        return context

    def own(self, batch_size: int) -> slice:
        """Which samples of a batch are this process's."""
        share = batch_size // self.count
        return slice(share * self.rank, share * (self.rank + 1))

    def descend(
        self, network: nn.Module, optimizer: Any, draws: Draws, loss_of: LossOf, learning_rate: float
    ) -> dict[str, float]:
        """One step of ``optimizer`` down the mean of ``loss_of`` over the batch; returns what it shows, averaged.

        ``draws`` are this process's own, (own samples, ...).
        """
        pieces = self._pieces(draws)
        total: dict[str, Tensor] = {}
        for number, piece in enumerate(pieces):
            weight = len(next(iter(piece.values()))) / self.config.batch_size
            with nullcontext() if number == len(pieces) - 1 else self.accelerator.no_sync(network):
                with self.autocast():
                    loss, shown = loss_of(piece)
                # Gradients are averaged over processes, losses summed over samples.
                self.accelerator.backward(loss * (weight * self.count))
            for name, value in shown.items():
                total[name] = total.get(name, torch.zeros(())).to(value.device) + weight * value.detach().float()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        if self.config.gradient_clip:
            self.accelerator.clip_grad_norm_(network.parameters(), self.config.gradient_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return self.sum_over_processes(total)

    def sum_over_processes(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Each scalar, summed over all processes."""
        if self.count > 1:
            values = {name: self.accelerator.reduce(value, "sum") for name, value in values.items()}
        return {name: value.item() for name, value in values.items()}

    def any_process(self, flag: bool) -> bool:
        """Whether the flag is set in at least one process."""
        return bool(self.in_any_process(torch.tensor(flag)))

    def in_any_process(self, flags: Tensor) -> Tensor:
        """Where flags, of any shape, are set in at least one process."""
        if self.count == 1:
            return flags
        counts: Tensor = self.accelerator.reduce(flags.float().to(self.accelerator.device), "sum")
        return counts.cpu() > 0

    def of_all_processes(self, values: Tensor) -> Tensor:
        """The rows of all processes, the leader's first; every process brings as many."""
        gathered: Tensor = self.accelerator.gather(values)
        return gathered

    def state_dict(self) -> dict[str, Any]:
        """The gradient scaler of fp16; empty for other precisions."""
        return self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state)

    def _pieces(self, draws: Draws) -> list[Draws]:
        own = len(next(iter(draws.values())))
        size = self.config.micro_batch_size or own
        return [{name: value[start : start + size] for name, value in draws.items()} for start in range(0, own, size)]
