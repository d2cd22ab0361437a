"""Statistics against published numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.study.statistics import binomial_p, fleiss_kappa, wilson_interval

PSYCHIATRIC = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip
"""14 raters, 10 things, 5 categories: the usual worked example."""


def test_kappa_of_the_worked_example():
    assert fleiss_kappa(PSYCHIATRIC) == pytest.approx(0.210, abs=5e-4)


def test_kappa_by_hand_with_unequal_numbers():
    # Things judged 2, 3 and 1 times: agreement 1 and 1/3, mean 2/3; shares 4/6 and 2/6, chance 5/9.
    counts = np.array([[2, 0], [1, 2], [1, 0]])
    assert fleiss_kappa(counts) == pytest.approx((2 / 3 - 5 / 9) / (1 - 5 / 9))


def test_kappa_at_its_ends():
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == pytest.approx(1)
    assert fleiss_kappa(np.array([[1, 1], [1, 1]])) == pytest.approx(-1)
    assert fleiss_kappa(np.array([[1, 0], [0, 1]])) is None, "nothing was judged twice"
    assert fleiss_kappa(np.array([[2, 0], [3, 0]])) is None, "there is one category only"


def test_binomial_test_by_hand():
    assert binomial_p(9, 10) == pytest.approx(22 / 1024)
    assert binomial_p(5, 10) == 1
    assert binomial_p(0, 10) == pytest.approx(2 / 1024)


def test_wilson_interval_by_its_formula():
    # Newcombe 1998, table I, method 3: 81/263 and 15/148.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


@settings(max_examples=30)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_the_share_and_mirrors(case):
    hits, total = case
    low, high = wilson_interval(hits, total)
    assert 0 <= low <= hits / total + 1e-12
    assert hits / total - 1e-12 <= high <= 1
    assert wilson_interval(total - hits, total) == pytest.approx((1 - high, 1 - low))
    assert binomial_p(hits, total) == pytest.approx(binomial_p(total - hits, total))
