"""The card that the student carries: how far it agrees with its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def write_card(metrics: Mapping[str, Any]) -> str:
    """Markdown, from the metrics of the run."""
    rows = [
        f"| {name} | {row['correlation']:.2f} | {row['error']:.3f} | {row['reach']:.3f} |"
        for name, row in metrics["val_coefficients"].items()
    ]
    return "\n".join(
        [
            "# Expression network",
            "",
            "Gives 478 points, 51 coefficients and a confidence for an aligned face. It was taught by MediaPipe's Face",
            "Landmarker, and inherits its faults: a coefficient that reaches nearly 0 in photos is dead there as well.",
            "Measured against it on the validation split, which was not trained on.",
            "",
            f"- points: {metrics['val_points_error_percent']:.2f} % of the distance between the pupils from the "
            f"teacher's ({metrics['val_telling_points_error_percent']:.2f} % on eyes, brows, lips and outline)",
            f"- coefficients: mean correlation {metrics['val_correlation']:.2f}, mean error "
            f"{metrics['val_coefficient_error']:.3f}",
            f"- confidence: {metrics['val_confidence']:.2f} on faces, {metrics['val_confidence_spoiled']:.2f} on crops "
            f"that show none; {metrics['val_told_apart']:.1%} are told apart at 0.5",
            "",
            "| coefficient | correlation | mean error | 97th percentile of the teacher |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )
