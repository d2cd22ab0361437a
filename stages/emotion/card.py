"""The card that an emotion classifier carries: what it confuses, and whether its probabilities are true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.common.emotions import EMOTIONS


def write_card(metrics: Mapping[str, Any], samples: Mapping[str, int]) -> str:
    """Markdown, from the metrics of the run and the training samples of each class."""
    shown = [name for name in EMOTIONS if samples[name] or sum(metrics["val_confusion"][name])]
    confusion = [
        [name, str(samples[name]), *(str(metrics["val_confusion"][name][EMOTIONS.index(other)]) for other in shown)]
        for name in shown
    ]
    reliability = [
        [f"{row['confidence']:.2f}", f"{row['accuracy']:.2f}", f"{row['share']:.2f}"]
        for row in metrics["val_reliability"]
    ]
    return "\n".join(
        [
            "# Emotion classifier",
            "",
            "Reads the expression of an aligned face. Measured on the validation split, which was not trained on.",
            "",
            f"- accuracy {metrics['val_accuracy']:.3f}, mean recall over the classes {metrics['val_mean_recall']:.3f}",
            f"- expected calibration error {metrics['val_calibration_error']:.3f} (Guo et al. 2017, ten bins); logits "
            f"divided by {metrics['val_best_temperature']:.2f} would fit best",
            "",
            "## Confusion",
            "",
            "Rows are the labels, columns what the classifier says.",
            "",
            *_table(["label", "trained on", *shown], confusion),
            "",
            "## Calibration",
            "",
            *_table(["confidence", "right", "share of the pictures"], reliability),
            "",
        ]
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
