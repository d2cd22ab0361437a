"""How fast a training step is next to a plain loop over the same network, and how fast data comes to it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.training_utils import EMAModel
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.tables import print_table
from stages.common.config import resolve_config
from stages.common.latents import CachedLatents
from stages.common.manifest import load_artifact
from stages.common.shards import ShardDataset
from stages.common.stage import RunContext
from stages.common.training.lookahead import Lookahead
from stages.common.training.stepper import Stepper
from stages.ldm.conditions import FaceConditions
from stages.ldm.config import LdmConfig
from stages.ldm.trainer import LdmTrainer
from stages.models.denoiser import build_denoiser
from stages.models.first_stage import Pixels, PixelsConfig

GOAL_STEP = {"cpu": 1.0, "cuda": 3.0}
GOAL_LOADER, GOAL_LATENTS = 0.9, 20_000
_SAMPLES = 512
_MATMUL = 8192


def measure_step(device: str, batch_size: int, steps: int, preset: str = "affectnet-128") -> dict[str, Any]:
    """Seconds a denoiser step: ours (bf16 on CUDA) and a plain fp32 loop, taken in turns; medians."""
    precision = "bf16" if device == "cuda" else "fp32"
    config = resolve_config(LdmConfig, "ldm", preset, [f"loop.batch_size={batch_size}", f"loop.precision={precision}"])
    ours, plain = _our_step(config, device), _plain_step(config, device)
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in range(steps + 1):
        for name, take in (("ours", ours), ("plain", plain)):
            taken = _timed(take, number, device)
            if number:
                seconds[name].append(taken)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    result = {"device": device, "preset": preset, "batch_size": batch_size, "precision": precision, **medians}
    return result | (_gpu_use(config, medians["ours"], ours) if device == "cuda" else {})


def _our_step(config: LdmConfig, device: str) -> Callable[[int], object]:
    size, channels = config.network.latent_size, config.network.latent_channels
    data = CachedLatents(torch.randn(2, _SAMPLES, channels, size, size).half())
    split = (data, FaceConditions(None, np.arange(_SAMPLES) % config.network.num_classes, config.network))
    stepper = Stepper(config.loop, RunContext(Path(), device=device))
    network, space = build_denoiser(config.network), Pixels(PixelsConfig(size_px=size))
    trainer = LdmTrainer(network, space, config, split, split, stepper=stepper, seed=0, workers=2)
    return lambda step: trainer.train_step(step, config.loop.learning_rate, torch.Generator().manual_seed(step))


def _plain_step(config: LdmConfig, device: str) -> Callable[[int], object]:
    """What a reader of diffusers' examples would write, in fp32."""
    network = build_denoiser(config.network).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), config.loop.learning_rate)
    ema = EMAModel(network.parameters(), config.ema_decay)
    noise_scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0205)
    size, channels, count = config.network.latent_size, config.network.latent_channels, config.loop.batch_size
    latents = torch.randn(_SAMPLES, channels, size, size)

    def step(_number: int) -> None:
        z0 = latents[torch.randint(_SAMPLES, (count,))].to(device)
        labels = torch.randint(config.network.num_classes, (count,), device=device)
        timesteps = torch.randint(1000, (count,), device=device)
        noise = torch.randn_like(z0)
        loss = F.mse_loss(network(noise_scheduler.add_noise(z0, noise, timesteps), timesteps, labels), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.step(network.parameters())
        loss.item()

    return step


def _timed(take: Callable[[int], object], number: int, device: str) -> float:
    started = time.perf_counter()
    take(number)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _gpu_use(config: LdmConfig, seconds: float, take: Callable[[int], object]) -> dict[str, float]:
    """TFLOP/s of a step beside those of one large bf16 matrix product, and the most memory held."""
    with FlopCounterMode(display=False) as counter:
        take(0)
    a = torch.randn(_MATMUL, _MATMUL, device="cuda", dtype=torch.bfloat16)
    products = [_timed(lambda _: a @ a, 0, "cuda") for _ in range(20)]
    return {
        "tflop_per_s": counter.get_total_flops() / seconds / 1e12,
        "matmul_tflop_per_s": 2 * _MATMUL**3 / float(np.median(products)) / 1e12,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        "images_per_s": config.loop.batch_size / seconds,
    }


def measure_loader(shards: Path, workers: int, batch_size: int = 32, batches: int = 40) -> dict[str, float]:
    """Pictures a second from shards as training reads them, and by decoding the same JPEGs from memory."""
    data = ShardDataset(load_artifact(shards), "train")
    order = [np.arange(i * batch_size, (i + 1) * batch_size) % len(data) for i in range(batches + workers + 1)]
    jpegs = [[data.encoded(int(i)) for i in indices] for indices in order[:batches]]
    read = Lookahead(lambda step: data.batch(order[step]), workers)
    rounds: dict[str, list[float]] = {"shards": [], "memory": []}
    for _ in range(3):
        rounds["memory"].append(_seconds(lambda: _decode_all(jpegs, workers)))
        rounds["shards"].append(_seconds(lambda: [read(step) for step in range(batches)]))
    return {name: batches * batch_size / float(np.median(values)) for name, values in rounds.items()}


def _decode_all(jpegs: Sequence[Sequence[bytes]], workers: int) -> None:
    def decode(batch: Sequence[bytes]) -> object:
        return np.stack([np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in batch])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(decode, jpegs))


def measure_latents(size: int = 32, channels: int = 3, batch_size: int = 64, batches: int = 200) -> float:
    """Cached latents a second, in shuffled batches."""
    data = CachedLatents(torch.randn(2, 8192, channels, size, size).half())
    random = np.random.default_rng(0)
    order = [random.integers(0, len(data), batch_size) for _ in range(batches)]
    mirrored = random.random(batch_size) < 0.5
    seconds = [_seconds(lambda: [data.batch(indices, mirrored) for indices in order]) for _ in range(3)]
    return batches * batch_size / float(np.median(seconds))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_training(step: dict[str, Any], loader: dict[str, float] | None, latents: float) -> None:
    ratio = step["plain"] / step["ours"]
    rows = [
        [f"denoiser step, batch {step['batch_size']}, {step['precision']}", f"{step['ours']:.3f} s", ""],
        ["plain loop over the same network, fp32", f"{step['plain']:.3f} s", ""],
        ["speed of ours in plain loops", f"{ratio:.2f}", f">= {GOAL_STEP[step['device']]}"],
    ]
    if "tflop_per_s" in step:
        share = step["tflop_per_s"] / step["matmul_tflop_per_s"]
        rows.append(["TFLOP/s, of a large bf16 product's", f"{step['tflop_per_s']:.0f}, {share:.0%}", "40%"])
        rows.append(["peak GPU memory", f"{step['peak_gib']:.1f} GiB", "11 GiB"])
    if loader is not None:
        share = loader["shards"] / loader["memory"]
        rows.append(["JPEGs decoded from memory", f"{loader['memory']:.0f} images/s", ""])
        speed = f"{loader['shards']:.0f} images/s ({share:.2f})"
        rows.append(["shards to decoded batches", speed, f">= {GOAL_LOADER}"])
    rows.append(["cached latents 32x32x3", f"{latents:.0f} images/s", f"> {GOAL_LATENTS}"])
    print_table(f"Training `{step['preset']}` on {step['device']} (medians)", ["what", "measured", "goal"], rows)
