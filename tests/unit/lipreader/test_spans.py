"""Which parts of clips training reads, and when."""

import numpy as np
import pytest

from stages.lipreader.spans import cut_spans, span_words

FPS = 25.0
WORDS = [
    {"word": word, "start_s": start, "end_s": end}
    for word, start, end in (("bin", 0.8, 1.0), ("blue", 1.0, 1.4), ("at", 1.4, 1.48), ("f", 1.48, 1.6))
]
FACTS = {"words": WORDS, "fps": FPS, "text": "bin blue at f"}


def draw(words, seed=0, facts=FACTS, frames=75):
    return cut_spans(facts, frames, words, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("words", "texts"),
    [(1, ["bin", "blue", "at", "f"]), (2, ["bin blue", "at f"]), (3, ["bin blue at", "f"]), (9, ["bin blue at f"])],
)
def test_all_words_are_in_a_span_once(words, texts):
    assert [span.text for span in draw(words)] == texts


@pytest.mark.parametrize("words", [1, 2, 3, None])
def test_a_span_holds_its_words(words):
    for seed in range(20):
        spans = draw(words, seed)
        first = 0
        for span in spans:
            said = WORDS[first : first + len(span.text.split())]
            first += len(said)
            assert 0 <= span.start <= said[0]["start_s"] * FPS
            assert said[-1]["end_s"] * FPS <= span.end <= 75


def test_a_whole_clip_loses_only_silence_and_not_always_the_same():
    spans = [draw(None, seed)[0] for seed in range(50)]
    assert {span.text for span in spans} == {"bin blue at f"}
    starts, ends = [span.start for span in spans], [span.end for span in spans]
    assert min(starts) < 3
    assert max(starts) > 15
    assert min(ends) < 45
    assert max(ends) > 70


def test_a_clip_without_times_is_read_as_it_is():
    (span,) = draw(1, facts=FACTS | {"words": []})
    assert (span.start, span.end, span.text) == (0, 75, "bin blue at f")


def test_every_span_has_room_for_a_path_of_its_letters():
    quick = [{"word": "zeer", "start_s": 0.96, "end_s": 1.0}]
    (span,) = draw(1, facts=FACTS | {"words": quick, "text": "zeer"}, frames=26)
    assert span.end - span.start >= 5
    assert span.end <= 26


def test_words_come_first_and_whole_clips_last():
    def drawn(progress):
        return [span_words(progress, 0.6, 3, np.random.default_rng(seed)) for seed in range(300)]

    assert set(drawn(0.0)) == {1}
    assert set(drawn(0.085)) == {1, 2, 3}
    middle = drawn(0.35)
    assert 0.3 < middle.count(None) / 300 < 0.7
    assert set(drawn(0.6)) == set(drawn(1.0)) == {None}


def test_there_may_be_no_spans_at_all():
    assert span_words(0.0, 0.0, 3, np.random.default_rng(0)) is None


def test_a_whole_clip_whose_times_lie_past_its_end_is_never_empty():
    for seed in range(20):
        (span,) = draw(None, seed, frames=15)
        assert 0 <= span.start < min(span.end, 15)
