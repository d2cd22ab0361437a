"""Texts as classes and back."""

import pytest

from stages.models.text_units import characters_of, collapse, join_units, spell


def test_what_is_spelled_reads_the_same():
    units = characters_of(["bin blue", "set"])
    assert units == ("b", "e", "i", "l", "n", "s", "t", "u", "\u2581")
    assert join_units(spell(" bin  set", units), units) == "bin set"


def test_an_unknown_character_is_named():
    with pytest.raises(KeyError, match="q"):
        spell("q", ("a",))


def test_pieces_of_words_join():
    assert join_units([1, 3, 2], ("\u2581HE", "\u2581WAS", "LLO")) == "HELLO WAS"


def test_a_path_says_repeated_units_once_unless_a_blank_lies_between():
    assert collapse([0, 1, 1, 0, 1, 2, 2, 0]) == [1, 1, 2]
