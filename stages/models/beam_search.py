"""Joint CTC and attention decoding (Watanabe et al., 2017): the text that both find likely.

K hypotheses of a beam, C candidates for their next unit, V classes (0 the blank, the last the edge of a text, between
them the units), T frames, L units so far. Scores are natural logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stages.models.text_units import BLANK

_AHEAD = 4
"""With a bonus for length, the search goes on while this many more units could still win."""
NextScores = Callable[[Tensor], Tensor]
"""Starts of texts (K, L), the edge first, to the scores (K, V) of what comes next."""


@dataclass(frozen=True, slots=True)
class _Beam:
    """Texts (K, L), the edge first; the decoder's scores (K,); CTC's (K,), and by time and last class (T, 2, K)."""

    texts_KL: Tensor
    attention_K: Tensor
    ctc_K: Tensor
    paths_T2K: Tensor


def beam_search(
    ctc_TV: Tensor,
    next_scores: NextScores,
    *,
    beam_size: int = 10,
    ctc_weight: float = 0.1,
    length_bonus: float = 0.0,
    candidates: int = 40,
) -> list[int]:
    """The classes of the text with the highest ``ctc_weight`` log p_ctc + (1 - ``ctc_weight``) log p_attention found.

    ``length_bonus`` is added for each unit: texts that leave out what is unclear are likelier than any guess of it.

    ``ctc_TV`` are CTC's scores of each frame. Each step extends ``beam_size`` texts by the ``candidates`` units that
    the decoder finds likeliest. No text is longer than the clip has frames, as none has a path of CTC.
    """
    edge = ctc_TV.shape[1] - 1
    beam = _empty(ctc_TV, edge)
    best, best_score = beam.texts_KL[0, 1:], -math.inf
    for _ in range(len(ctc_TV) + 1):
        next_KV = next_scores(beam.texts_KL)
        units = beam.texts_KL.shape[1] - 1
        whole_K = ctc_weight * _ending(beam) + (1 - ctc_weight) * (beam.attention_K + next_KV[:, edge])
        whole_K = whole_K + length_bonus * units
        if whole_K.max() > best_score:
            best_score, best = float(whole_K.max()), beam.texts_KL[whole_K.argmax(), 1:]
        beam = _extend(beam, ctc_TV, next_KV, beam_size=beam_size, ctc_weight=ctc_weight, candidates=candidates)
        # What is longer is never likelier; with a bonus, only some units more are tried.
        reach = length_bonus * (units + 1 + _AHEAD)
        if not len(beam.texts_KL) or _score(beam, ctc_weight).max() + reach <= best_score:
            break
    classes: list[int] = best.tolist()
    return classes


def extend_prefixes(paths_T2K: Tensor, last_K: Tensor, classes_KC: Tensor, ctc_TV: Tensor) -> tuple[Tensor, Tensor]:
    """CTC's scores of prefixes one unit longer: of texts that begin so (K, C), and of paths (T, 2, K, C).

    ``paths_T2K`` holds, for each time, the scores of all paths that so far say exactly the prefix and end in its last
    unit (0) or in a blank (1); before the first frame there are none. Graves (2008), section 7.5.
    """
    units_TKC = ctc_TV[:, classes_KC]
    blank_T = ctc_TV[:, BLANK]
    before_T2K = torch.cat([torch.full_like(paths_T2K[:1], -math.inf), paths_T2K[:-1]])
    any_TK = before_T2K.logsumexp(dim=1)
    # A unit that follows itself needs a blank between.
    repeats_KC = classes_KC == last_K[:, None]
    ready_TKC = torch.where(repeats_KC, before_T2K[:, 1, :, None], any_TK[:, :, None])
    empty_K = last_K == len(ctc_TV[0]) - 1
    ready_TKC[0] = torch.where(empty_K[:, None], 0.0, -math.inf)
    said = torch.full_like(units_TKC[0], -math.inf)
    blank = said
    paths = []
    for units_KC, ready_KC, blank_score in zip(units_TKC, ready_TKC, blank_T, strict=True):
        said, blank = (
            torch.logaddexp(said, ready_KC) + units_KC,
            torch.logaddexp(said, blank) + blank_score,
        )
        paths.append(torch.stack([said, blank]))
    return (ready_TKC + units_TKC).logsumexp(dim=0), torch.stack(paths)


def _empty(ctc_TV: Tensor, edge: int) -> _Beam:
    """The text without units, of which all paths are blanks."""
    blanks_T = ctc_TV[:, BLANK].cumsum(dim=0)
    paths = torch.stack([torch.full_like(blanks_T, -math.inf), blanks_T], dim=1)[:, :, None]
    zero = ctc_TV.new_zeros(1)
    return _Beam(torch.full((1, 1), edge, device=ctc_TV.device), zero, zero, paths)


def _ending(beam: _Beam) -> Tensor:
    """CTC's scores (K,) of the texts as they are."""
    return beam.paths_T2K[-1].logsumexp(dim=0)


def _score(beam: _Beam, ctc_weight: float) -> Tensor:
    return ctc_weight * beam.ctc_K + (1 - ctc_weight) * beam.attention_K


def _extend(
    beam: _Beam, ctc_TV: Tensor, next_KV: Tensor, *, beam_size: int, ctc_weight: float, candidates: int
) -> _Beam:
    """The likeliest texts one unit longer, of those that CTC finds possible at all."""
    units_KU = next_KV[:, BLANK + 1 : -1]
    attention_KC, found_KC = units_KU.topk(min(candidates, units_KU.shape[1]), dim=1)
    classes_KC = found_KC + BLANK + 1
    ctc_KC, paths_T2KC = extend_prefixes(beam.paths_T2K, beam.texts_KL[:, -1], classes_KC, ctc_TV)
    attention_KC = beam.attention_K[:, None] + attention_KC
    # Impossible texts stay impossible where CTC has no weight.
    score_KC = torch.where(ctc_KC.isfinite(), ctc_weight * ctc_KC + (1 - ctc_weight) * attention_KC, -math.inf)
    scores, places = score_KC.flatten().topk(min(beam_size, score_KC.numel()))
    places = places[scores.isfinite()]
    rows = places // classes_KC.shape[1]
    texts = torch.cat([beam.texts_KL[rows], classes_KC.flatten()[places, None]], dim=1)
    return _Beam(texts, attention_KC.flatten()[places], ctc_KC.flatten()[places], paths_T2KC.flatten(2)[..., places])
