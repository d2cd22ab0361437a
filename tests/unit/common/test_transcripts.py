"""Reading what is said in a clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.common.errors import BadInputError
from stages.common.transcripts import Word, read_align, read_transcript

ALIGN = "0 16250 sil\n16250 21500 bin\n21500 26750 blue\n26750 27000 sp\n27000 74500 sil\n"


def test_align_times_are_in_units_of_a_25000th_second(tmp_path: Path) -> None:
    (tmp_path / "a.align").write_text(ALIGN)
    assert read_align(tmp_path / "a.align") == (Word("bin", 0.65, 0.86), Word("blue", 0.86, 1.07))


@pytest.mark.parametrize("text", ["0 100", "0 x sil", "a b c d", "\xe9 1 2"])
def test_what_is_no_alignment_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.align").write_text(text)
    with pytest.raises(BadInputError, match="not an alignment"):
        read_align(tmp_path / "a.align")


def test_a_transcript_is_a_text_or_the_words_of_an_alignment(tmp_path: Path) -> None:
    (tmp_path / "a.align").write_text(ALIGN)
    (tmp_path / "a.txt").write_text("\ufeffBin blue.\n", "utf-8")
    assert read_transcript(tmp_path / "a.align") == "bin blue"
    assert read_transcript(tmp_path / "a.txt") == "Bin blue."
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError, match="cannot be read as text"):
        read_transcript(tmp_path / "b.txt")
