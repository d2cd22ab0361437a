"""The training benchmark measures what it says, at the size of the preset ``tiny``."""

import pytest
from support.shards import make_shards

from benchmarks.memory import measure_memory
from benchmarks.training import measure_latents, measure_loader, measure_step


def test_memory_grows_with_the_batch_and_the_state_does_not():
    small, large = measure_memory("tiny", 2, 4), measure_memory("tiny", 4, 8)
    for few, many in zip(small, large, strict=True):
        assert many.state_bytes == few.state_bytes > 0
        assert many.activation_bytes == pytest.approx(2 * few.activation_bytes, rel=0.05)


def test_a_step_of_ours_and_a_plain_one_are_timed():
    result = measure_step("cpu", batch_size=2, steps=1, preset="tiny")
    assert result["ours"] > 0
    assert result["plain"] > 0
    assert "tflop_per_s" not in result


def test_the_loader_reads_what_is_there(tmp_path):
    speeds = measure_loader(make_shards(tmp_path / "shards").root, workers=1, batch_size=4, batches=3)
    assert set(speeds) == {"shards", "memory"}
    assert all(speed > 0 for speed in speeds.values())
    assert measure_latents(size=4, batches=2) > 0
