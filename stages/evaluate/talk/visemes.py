"""What lips can show of words: espeak's American English phonemes, and Amazon Polly's visemes of them.

``visemes.csv`` says for each phoneme of espeak which of Polly's en-US phonemes it is taken as (several where espeak has
one symbol for two sounds) and their visemes. Each viseme is one character.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from stages.common.errors import BadInputError, MissingModelError

_PHONE = "_"


def why_no_visemes() -> str:
    """What is missing on this machine, in one line, or nothing."""
    absent = [name for name in ("phonemizer", "espeakng_loader") if importlib.util.find_spec(name) is None]
    return f"the package {absent[0]} is not installed, see facediff[lipread]" if absent else ""


@cache
def viseme_table() -> dict[str, str]:
    """Phoneme to visemes."""
    text = resources.files(__package__).joinpath("visemes.csv").read_text("utf-8")
    return {row["phoneme"]: row["visemes"] for row in csv.DictReader(text.splitlines())}


def to_visemes(text: str) -> str:
    """Each word of a text as its visemes; words stay apart. A word has the same visemes wherever it stands.

    Raises ``MissingModelError`` without espeak, and ``BadInputError`` for a phoneme that the table does not know.
    """
    return " ".join(filter(None, map(_word_visemes, text.split())))


def spell(word: str, phonemes: Iterable[str]) -> str:
    """The visemes of a word's phonemes; one that the table does not have is taken as those that it is written with.

    Raises ``BadInputError`` where that fails too.
    """
    return "".join(_spell(word, phoneme) for phoneme in phonemes)


def _spell(word: str, phoneme: str) -> str:
    table, found, rest = viseme_table(), "", phoneme
    while rest:
        known = next((rest[:end] for end in range(len(rest), 0, -1) if rest[:end] in table), None)
        if known is None:
            raise BadInputError(
                f"{word!r} has the phoneme {phoneme!r}, whose viseme is not known", "Spell it otherwise"
            )
        found, rest = found + table[known], rest.removeprefix(known)
    return found


@cache
def _word_visemes(word: str) -> str:
    return spell(word, phonemes_of(word))


def phonemes_of(word: str) -> list[str]:
    """A word's phonemes in espeak's IPA for en-us, without stress. Raises ``MissingModelError`` without espeak."""
    from phonemizer.separator import Separator

    separator = Separator(phone=_PHONE, word=" ", syllable="")
    (spoken,) = _backend().phonemize([word], separator=separator, strip=True)
    return [phoneme for phoneme in spoken.replace(" ", _PHONE).split(_PHONE) if phoneme]


@cache
def _backend() -> Any:
    why = why_no_visemes()
    if why:
        raise MissingModelError(f"visemes cannot be told: {why}")
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend("en-us", with_stress=False, language_switch="remove-flags", words_mismatch="ignore")
