"""Words as visemes: Polly's table, and what is not in it."""

import csv
from importlib import resources

import pytest

from stages.common.errors import BadInputError, MissingModelError
from stages.evaluate.talk import visemes
from stages.evaluate.talk.visemes import phonemes_of, spell, to_visemes, viseme_table

POLLY = {
    "b": "p", "d": "t", "d͡ʒ": "S", "ð": "T", "f": "f", "ɡ": "k", "h": "k", "j": "i", "k": "k", "l": "l", "m": "p",
    "n": "t", "ŋ": "k", "p": "p", "ɹ": "r", "s": "s", "ʃ": "S", "t": "t", "t͡ʃ": "S", "θ": "T", "v": "f", "w": "u",
    "z": "s", "ʒ": "S", "ə": "@", "ɚ": "@", "æ": "a", "aɪ": "a", "aʊ": "a", "ɑ": "a", "eɪ": "e", "ɝ": "E", "ɛ": "E",
    "i": "i", "ɪ": "i", "oʊ": "o", "ɔ": "O", "ɔɪ": "O", "ʊ": "u", "u": "u", "ʌ": "E",
}  # fmt: skip
"""Amazon's developer guide: phonemes and visemes of English (US)."""

GOLDEN = {
    "bin blue at f two now": "pit plu at Ef tu ta",
    "place red by q one please": "ples rEt pa kiu uEt plis",
    "the judge's thin vision of hope": "T@ SESis Tit fiS@t Ef kop",
    "north near poor cure fire hour": "tOrT tir pur kiur fa@ a@",
}
WORDS = (
    "button bottle water little loch genre rhythm zero about again measure church singing yellow wheel "
    "algorithm activate anchor longest required assures dialog argattrs croissant denouement boukhlef"
)
"""Between them they have all phonemes that espeak gave for 7,000 words of documentation."""


@pytest.fixture
def espeak():
    pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")


def test_each_phoneme_has_the_visemes_of_those_it_is_taken_as():
    text = resources.files("stages.evaluate.talk").joinpath("visemes.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len({row["phoneme"] for row in rows}) == len(rows)
    for row in rows:
        assert row["visemes"] == "".join(POLLY[phoneme] for phoneme in row["polly"].split()), row
    assert set("".join(viseme_table().values())) == set(POLLY.values())


@pytest.mark.parametrize(("text", "expected"), GOLDEN.items())
def test_sentences_as_visemes(espeak, text, expected):
    assert to_visemes(text) == expected


def test_every_phoneme_of_espeak_is_known(espeak):
    found = {phoneme for word in WORDS.split() for phoneme in phonemes_of(word)}
    assert len(found) > 50
    assert found <= set(viseme_table())


def test_words_that_look_alike_are_equal(espeak):
    assert to_visemes("pat") == to_visemes("bat") == to_visemes("mad")
    assert to_visemes("pat") != to_visemes("fat")


def test_an_unknown_phoneme_is_named():
    assert spell("x", ["ææ"]) == "aa"
    with pytest.raises(BadInputError, match="'word' has the phoneme 'æǃ', whose viseme is not known"):
        spell("word", ["b", "æǃ"])


def test_without_espeak_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(visemes.importlib.util, "find_spec", lambda _name: None)
    visemes._backend.cache_clear()
    with pytest.raises(MissingModelError, match=r"phonemizer is not installed, see facediff\[lipread\]"):
        phonemes_of("hello")
