"""Reading ahead changes when data is read, never which."""

import threading

import pytest

from stages.common.training.lookahead import Lookahead


@pytest.mark.parametrize("workers", [1, 3])
def test_every_step_gets_its_own(workers):
    read = Lookahead(lambda step: step * step, workers)
    assert [read(step) for step in range(5, 15)] == [step * step for step in range(5, 15)]


def test_the_next_is_read_before_it_is_asked_for():
    begun = threading.Event()

    def read(step):
        if step == 1:
            begun.set()
        return step

    Lookahead(read, 1)(0)
    assert begun.wait(timeout=10)


def test_what_goes_wrong_is_raised_where_it_is_asked_for():
    read = Lookahead(lambda step: 1 // (2 - step), 1)
    assert read(0) == 0
    assert read(1) == 1
    with pytest.raises(ZeroDivisionError):
        read(2)
