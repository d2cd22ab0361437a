"""Calibration by hand, and on logits whose right temperature is known."""

import numpy as np
import pytest
import torch

from stages.common.emotions import EMOTIONS
from stages.emotion.calibration import best_temperature, calibration_error, reliability
from stages.emotion.card import write_card


def test_the_error_is_the_gap_between_confidence_and_accuracy():
    # Four samples said with 0.9, half of them right; four with 0.6, all right.
    logits = torch.tensor([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4).log()
    labels = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    assert calibration_error(labels, logits) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)
    low, high = reliability(labels, logits)
    assert low == pytest.approx({"share": 0.5, "confidence": 0.6, "accuracy": 1.0})
    assert high == pytest.approx({"share": 0.5, "confidence": 0.9, "accuracy": 0.5})


def test_the_card_shows_the_classes_that_there_are():
    metrics = {
        "val_accuracy": 0.75,
        "val_mean_recall": 0.7,
        "val_calibration_error": 0.04,
        "val_best_temperature": 1.25,
        "val_confusion": {name: [0] * 8 for name in EMOTIONS} | {"happy": [1, 3, 0, 0, 0, 0, 0, 0]},
        "val_reliability": [{"share": 1.0, "confidence": 0.8, "accuracy": 0.75}],
    }
    card = write_card(metrics, dict.fromkeys(EMOTIONS, 0) | {"neutral": 9})
    assert "| label | trained on | neutral | happy |" in card
    assert "| happy | 0 | 1 | 3 |" in card
    assert "| 0.80 | 0.75 | 1.00 |" in card
    assert "disgust" not in card


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_temperature_that_was_applied_is_found(temperature):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=random) * 2
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=random)[:, 0].numpy()
    assert best_temperature(labels, logits * temperature) == pytest.approx(temperature, rel=0.05)
    assert calibration_error(labels, logits) < 0.02 < calibration_error(labels, logits * temperature)
