"""Beam search against all texts there are, on vocabularies small enough to list them."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from stages.models.beam_search import beam_search, extend_prefixes
from stages.models.text_units import collapse

FRAMES, UNITS = 5, 2
EDGE = UNITS + 1


def random_scores(seed, sharpness=2.0):
    """CTC's scores (T, V), and a decoder whose scores depend on the last two classes."""
    random = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(FRAMES, UNITS + 2, generator=random, dtype=torch.float64)
    logits[:, EDGE] = -1e4  # no path of CTC has the edge
    ctc = logits.log_softmax(1)
    table = sharpness * torch.randn(UNITS + 2, UNITS + 2, UNITS + 2, generator=random, dtype=torch.float64)
    table = table.log_softmax(2)

    def next_scores(texts):
        before = F.pad(texts, (1, 0), value=0)
        return table[before[:, -2], before[:, -1]]

    return ctc, next_scores


def ctc_probability(ctc, text):
    """The sum over all paths that say ``text``."""
    paths = itertools.product(range(UNITS + 2), repeat=len(ctc))
    return sum(
        math.exp(sum(float(ctc[t, c]) for t, c in enumerate(path))) for path in paths if collapse(path) == list(text)
    )


def all_texts():
    return [text for n in range(FRAMES + 1) for text in itertools.product(range(1, UNITS + 1), repeat=n)]


def joint(ctc, next_scores, text, weight, bonus=0.0):
    probability = ctc_probability(ctc, text)
    if probability == 0:
        return -math.inf
    said = torch.tensor([[EDGE, *text]])
    follows = [*text, EDGE]
    attention = sum(float(next_scores(said[:, : n + 1])[0, c]) for n, c in enumerate(follows))
    return weight * math.log(probability) + (1 - weight) * attention + bonus * len(text)


@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.0), (0.3, 0.0), (1.0, 0.0), (0.3, 1.5)])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_texts(seed, weight, bonus):
    ctc, next_scores = random_scores(seed)
    found = beam_search(ctc, next_scores, beam_size=64, ctc_weight=weight, length_bonus=bonus)
    best = max(all_texts(), key=lambda text: joint(ctc, next_scores, text, weight, bonus))
    assert found == list(best)


def test_scores_of_prefixes_are_sums_over_all_texts_that_begin_so():
    ctc, _ = random_scores(7)
    blanks = ctc[:, 0].cumsum(0)
    paths = torch.stack([torch.full_like(blanks, -math.inf), blanks], 1)[:, :, None]
    last, text = torch.tensor([EDGE]), ()
    probabilities = {other: ctc_probability(ctc, other) for other in all_texts()}
    for unit in (1, 1, 2):
        scores, extended = extend_prefixes(paths, last, torch.tensor([[1, 2]]), ctc)
        for number, candidate in enumerate((1, 2)):
            longer = (*text, candidate)
            expected = sum(p for other, p in probabilities.items() if other[: len(longer)] == longer)
            assert math.exp(scores[0, number]) == pytest.approx(expected)
            exactly = extended[-1, :, 0, number].logsumexp(0).exp()
            assert float(exactly) == pytest.approx(probabilities[longer])
        paths, last, text = extended[:, :, :, unit - 1], torch.tensor([unit]), (*text, unit)


def test_a_narrow_beam_reads_what_is_certain():
    certain = F.one_hot(torch.tensor([0, 1, 1, 0, 1, 2]), UNITS + 2).double().mul(20).log_softmax(1)
    uniform = torch.zeros(1, UNITS + 2, dtype=torch.float64).log_softmax(1)
    assert beam_search(certain, lambda texts: uniform.expand(len(texts), -1), beam_size=2) == [1, 1, 2]
