"""Word and character errors of what a lip reader reads, in words and in visemes: jiwer's counts.

A rate of a set of clips is the errors of all clips over the words (characters, visemes) of all transcripts, as
``jiwer.wer`` and ``jiwer.cer`` give for lists. (The thesis's script averages the rates of clips.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stages.evaluate.talk.visemes import to_visemes

RATES = ("wer", "cer", "werv", "cerv")
_IN_VISEMES = frozenset({"werv", "cerv"})
_NO_LETTER = re.compile(r"[^\w' ]|_|(?<!\w)'|'(?!\w)")


def normalise(text: str) -> str:
    """Lower case, no punctuation but apostrophes within words, single spaces."""
    return " ".join(_NO_LETTER.sub(" ", text.replace("’", "'").lower()).split())


def count_errors(transcript: str, read: str, rates: Sequence[str]) -> dict[str, int]:
    """For each rate the errors of one clip, and under ``NAME_of`` how many units the transcript has.

    Both texts are normalised already. Raises ``BadInputError`` for a word whose visemes are not known.
    """
    if not rates:
        return {}
    import jiwer

    counts: dict[str, int] = {}
    for rate in rates:
        pair = (to_visemes(transcript), to_visemes(read)) if rate in _IN_VISEMES else (transcript, read)
        found = (jiwer.process_words if rate.startswith("wer") else jiwer.process_characters)(*pair)
        counts[rate] = found.substitutions + found.deletions + found.insertions
        counts[f"{rate}_of"] = found.hits + found.substitutions + found.deletions
    return counts


def rate_percent(rows: Sequence[Mapping[str, int]], rate: str) -> float:
    """The rate over all rows."""
    return 100 * sum(row[rate] for row in rows) / sum(row[f"{rate}_of"] for row in rows)
