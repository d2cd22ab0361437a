"""Questions of a study: balanced over forms, whatever the numbers."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.common.emotions import EDIT_TARGETS
from stages.study.config import StudyConfig
from stages.study.forms import deal, make_forms, word_orders
from stages.study.key import Comparison, Recognition, SideCheck, WordCheck

SEEDS = st.integers(0, 2**32)


@st.composite
def dealt(draw):
    cells, items = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    per_form, forms = draw(st.integers(1, cells * items)), draw(st.integers(1, 12))
    return cells, items, deal(range(cells), range(items), per_form, forms, np.random.default_rng(draw(SEEDS)))


def spread(counts):
    return max(counts) - min(counts)


@given(dealt())
def test_cells_are_asked_equally_often_in_a_form_and_over_all_forms(made):
    cells, _, forms = made
    for some in [*([form] for form in forms), *(forms[: n + 1] for n in range(len(forms)))]:
        asked = Counter(d.cell for form in some for d in form)
        assert spread([asked[cell] for cell in range(cells)]) <= 1


@given(dealt())
def test_sides_of_a_cell_are_balanced_after_any_number_of_forms(made):
    cells, _, forms = made
    for cell in range(cells):
        sides = [d.swapped for form in forms for d in form if d.cell == cell]
        for end in range(len(sides) + 1):
            assert abs(2 * sum(sides[:end]) - end) <= 1


@given(dealt())
def test_items_return_only_after_all_others_and_with_swapped_sides(made):
    cells, items, forms = made
    assert all(len({(d.cell, d.item) for d in form}) == len(form) for form in forms)
    for cell in range(cells):
        turns = [d for form in forms for d in form if d.cell == cell]
        for first in range(0, len(turns), items):
            round_ = turns[first : first + items]
            assert len({d.item for d in round_}) == len(round_)
        for earlier, later in zip(turns, turns[items:], strict=False):
            assert (earlier.item, earlier.swapped) == (later.item, not later.swapped)


@given(SEEDS, st.integers(1, 9), st.integers(0, 6), st.integers(1, 8), st.integers(0, 3))
def test_a_form_has_what_was_asked_for(seed, forms, realism, emotions, checks):
    config = StudyConfig(
        targets={"x": None, "y": None}, forms=forms, realism=realism, emotions=emotions, checks=checks
    )  # fmt: skip
    made = make_forms(config, ["happy", "sad"], ["a", "b"], ["x", "y", "source"], seed)
    assert len(made) == forms
    for number, form in enumerate(made):
        kinds = Counter(type(question) for question in form)
        assert (kinds[Comparison], kinds[Recognition]) == (realism, emotions)
        assert (kinds[SideCheck], kinds[WordCheck]) == (checks if realism else 0, checks)
        pairs_first = isinstance(form[0], Comparison | SideCheck)
        assert not realism or pairs_first == (number % 2 == 0), "half of the participants begin with emotions"
    assert made == make_forms(config, ["happy", "sad"], ["a", "b"], ["x", "y", "source"], seed)


@given(SEEDS)
def test_every_emotion_is_offered_at_every_place(seed):
    orders = word_orders(12, seed)
    for first in range(7):
        for place in range(6):
            assert {order[place] for order in orders[first : first + 6]} == {*EDIT_TARGETS}


@given(SEEDS)
def test_seeds_differ(seed):
    config = StudyConfig(targets={"x": "happy", "y": "happy"}, forms=1, realism=20, emotions=20)
    faces = [str(n) for n in range(30)]
    assert make_forms(config, ["happy"], faces, ["x", "y"], seed) != make_forms(
        config, ["happy"], faces, ["x", "y"], seed + 1
    )
