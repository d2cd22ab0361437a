"""Calibration by hand, and on logits whose right temperature is known."""

import numpy as np
import pytest
import torch

from stages.emotion.calibration import best_temperature, calibration_error, reliability


def test_the_error_is_the_gap_between_confidence_and_accuracy():
    # Four samples said with 0.9, half of them right; four with 0.6, all right.
    logits = torch.tensor([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4).log()
    labels = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    assert calibration_error(labels, logits) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)
    low, high = reliability(labels, logits)
    assert low == pytest.approx({"share": 0.5, "confidence": 0.6, "accuracy": 1.0})
    assert high == pytest.approx({"share": 0.5, "confidence": 0.9, "accuracy": 0.5})


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_temperature_that_was_applied_is_found(temperature):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=random) * 2
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=random)[:, 0].numpy()
    assert best_temperature(labels, logits * temperature) == pytest.approx(temperature, rel=0.05)
    assert calibration_error(labels, logits) < 0.02 < calibration_error(labels, logits * temperature)
