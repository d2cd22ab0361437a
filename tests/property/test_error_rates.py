"""Error rates: what must hold for any texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.evaluate.statistics import bootstrap_interval
from stages.evaluate.talk.error_rates import count_errors, normalise, rate_percent

pytest.importorskip("jiwer")

RATES = ("wer", "cer")
WORDS = st.lists(st.text("abcdz'é", min_size=1, max_size=6).filter(lambda w: normalise(w) == w), min_size=1, max_size=8)
TEXTS = WORDS.map(" ".join)


@given(TEXTS)
def test_equal_texts_have_no_error(text: str) -> None:
    assert all(count_errors(text, text, RATES)[rate] == 0 for rate in RATES)


@given(TEXTS, TEXTS)
def test_errors_are_bounded_and_different_texts_have_some(transcript: str, read: str) -> None:
    counts = count_errors(transcript, read, RATES)
    assert counts["wer_of"] == len(transcript.split())
    assert counts["cer_of"] == len(transcript)
    assert counts["wer"] <= max(len(transcript.split()), len(read.split()))
    assert (counts["cer"] == 0) == (transcript == read)


@given(TEXTS, TEXTS)
def test_errors_are_the_same_both_ways(first: str, second: str) -> None:
    there, back = count_errors(first, second, RATES), count_errors(second, first, RATES)
    assert all(there[rate] == back[rate] for rate in RATES)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_the_order_of_clips_does_not_count(pairs: list[tuple[str, str]]) -> None:
    rows = [count_errors(transcript, read, ("wer",)) for transcript, read in pairs]
    assert rate_percent(rows, "wer") == rate_percent(rows[::-1], "wer")


@given(st.text(max_size=40))
def test_normal_texts_stay_as_they_are(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_an_interval_lies_between_the_least_and_the_greatest(values: list[float]) -> None:
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
