"""How far an expression network agrees with its teacher on people of a split, and what it costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.tables import print_table
from stages.common.checkpoint import load_expression_network
from stages.common.errors import MissingModelError
from stages.common.manifest import ArtifactKind, load_artifact
from stages.common.shards import ShardDataset
from stages.expression.score import (
    correlations,
    describe_coefficients,
    measure,
    points_error_percent,
    predict,
    predict_spoiled,
)
from stages.expression.trainer import known_faces
from stages.models.expression_network import ExpressionNetwork

ALIVE = 0.02
"""Coefficients whose 97th percentile is below this hardly occur in photos."""


def measure_expression(shards: Path, model: Path, split: str, device: str = "cpu") -> dict[str, Any]:
    """Points' error, every coefficient's correlation, confidence, milliseconds a crop and bytes.

    Raises ``MissingModelError`` when the model has no expression network.
    """
    network = load_expression_network(model, device)
    if network is None:
        raise MissingModelError(f"{model} has no expression network", "Give --model RUN of `facediff train expression`")
    faces = known_faces(ShardDataset(load_artifact(shards, ArtifactKind.SHARDS), split))
    found = predict(network, faces.data, faces.indices, device)
    spoiled = predict_spoiled(network, faces.data, faces.indices, device)
    errors = points_error_percent(found, faces.known)
    with torch.no_grad():
        exact = network.coefficients_of_points(torch.from_numpy(faces.known.points_NP3).to(device)).cpu().numpy()
    coefficients = describe_coefficients(found, faces.known)
    of_points = correlations(exact, faces.known.coefficients_NK)
    for row, agreement in zip(coefficients.values(), of_points, strict=True):
        row["correlation_of_points"] = float(agreement)
    row = {name.removeprefix("val_"): value for name, value in measure(found, spoiled, faces.known).items()}
    return {
        **row,
        "faces": len(errors),
        "points_error_percent_median": float(np.median(errors)),
        "points_error_percent_95th": float(np.percentile(errors, 95)),
        "coefficients": coefficients,
        "ms_per_crop": _time_ms(network, device),
        "bytes": sum(path.stat().st_size for path in (model / "expression_network").iterdir()),
    }


@torch.inference_mode()
def _time_ms(network: ExpressionNetwork, device: str, runs: int = 50) -> float:
    """The median time of one crop alone, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    crop = torch.zeros(1, 3, 128, 128, device=device)
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        network(crop)[2].cpu()
        times.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    return 1000 * float(np.median(times))


def print_expression(result: dict[str, Any]) -> None:
    alive = {name: row for name, row in result["coefficients"].items() if row["reach"] >= ALIVE}
    mean = np.mean([row["correlation"] for row in alive.values()])
    mean_of_points = np.mean([row["correlation_of_points"] for row in alive.values()])
    median, most = result["points_error_percent_median"], result["points_error_percent_95th"]
    rows = [
        ["faces", str(result["faces"])],
        ["points' error, % of the eye distance", f"{result['points_error_percent']:.2f}"],
        ["  median, 95th percentile of faces", f"{median:.2f}, {most:.2f}"],
        ["  eyes, brows, lips, outline", f"{result['telling_points_error_percent']:.2f}"],
        [f"correlation, mean of the {len(alive)} that occur", f"{mean:.3f}"],
        ["  of the teacher's own points", f"{mean_of_points:.3f}"],
        ["mean error of a coefficient", f"{result['coefficient_error']:.4f}"],
        ["confidence on faces, on spoiled crops", f"{result['confidence']:.3f}, {result['confidence_spoiled']:.3f}"],
        ["told apart at 0.5", f"{result['told_apart']:.2%}"],
        ["ms a crop, one thread", f"{result['ms_per_crop']:.1f}"],
        ["size", f"{result['bytes'] / 2**20:.2f} MiB"],
    ]
    print_table("Expression network against its teacher", ["measure", "value"], rows)
    ranked = sorted(result["coefficients"].items(), key=lambda item: -item[1]["correlation"])
    print_table(
        "Coefficients",
        ["coefficient", "correlation", "of the teacher's points", "mean error", "97th percentile"],
        [
            [
                name,
                f"{row['correlation']:.2f}",
                f"{row['correlation_of_points']:.2f}",
                f"{row['error']:.3f}",
                f"{row['reach']:.3f}",
            ]
            for name, row in ranked
        ],
    )
