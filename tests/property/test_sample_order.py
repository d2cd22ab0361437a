"""Which samples each training step sees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.training.order import SampleOrder, even_batches

SEEDS = st.integers(0, 2**32)


@given(st.integers(1, 40), st.integers(1, 50), SEEDS)
def test_every_epoch_is_a_permutation(count, batch_size, seed):
    order = SampleOrder(np.zeros(count, np.int64), batch_size, seed)
    batches = [order.indices(step) for step in range(-(-3 * count // batch_size))]
    assert all(len(batch) == batch_size for batch in batches)
    stream = np.concatenate(batches)
    for epoch in range(3):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(st.integers(1, 40), st.integers(1, 9), SEEDS, st.integers(0, 60), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_step_is_the_same_whatever_came_before(count, batch_size, seed, step, balance):
    labels = np.arange(count) % 3
    used = SampleOrder(labels, batch_size, seed, balance)
    for earlier in range(step):
        used.indices(earlier)
    fresh = SampleOrder(labels, batch_size, seed, balance)
    assert np.array_equal(fresh.indices(step), used.indices(step))


@given(SEEDS, st.sampled_from([0.0, 0.5]))
def test_steps_and_seeds_differ(seed, balance):
    labels = np.zeros(1000, np.int64)
    first = SampleOrder(labels, 50, seed, balance).indices(0)
    assert not np.array_equal(first, SampleOrder(labels, 50, seed, balance).indices(1))
    assert not np.array_equal(first, SampleOrder(labels, 50, seed + 1, balance).indices(0))


def test_epochs_are_shuffled_anew():
    order = SampleOrder(np.zeros(100, np.int64), 100, 0)
    assert not np.array_equal(order.indices(0), order.indices(1))


@pytest.mark.parametrize("balance", [0.25, 0.5, 1.0])
def test_a_class_of_n_samples_has_a_share_of_n_to_the_one_minus_balance(balance):
    counts = np.array([800, 150, 50])
    labels = np.repeat([0, 1, 7], counts)
    drawn = SampleOrder(labels, 40_000, 3, balance).indices(0)
    shares = np.array([(labels[drawn] == c).mean() for c in (0, 1, 7)])
    expected = counts ** (1 - balance) / (counts ** (1 - balance)).sum()
    np.testing.assert_allclose(shares, expected, atol=0.012)
    # Within a class no sample is preferred: 13,333 or fewer draws of 50 samples stay near their mean.
    rare = np.bincount(drawn[labels[drawn] == 7], minlength=1000)[950:]
    assert rare.min() > 0.6 * rare.mean()
    assert rare.max() < 1.4 * rare.mean()


@given(st.integers(1, 40), st.integers(1, 50))
def test_batches_of_a_validation_are_all_its_samples_in_order(count, batch_size):
    batches = even_batches(np.arange(count), batch_size)
    assert np.array_equal(np.concatenate(batches), np.arange(count))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
