"""What counts as an error."""

import pytest

from stages.evaluate.talk.error_rates import count_errors, normalise, rate_percent

pytest.importorskip("jiwer")


def test_case_and_punctuation_do_not_count():
    assert normalise("  Don’t -- STOP,  'now'!\n") == "don't stop now"
    assert normalise("?!") == ""
    assert normalise("Größe_7") == "größe 7"


def test_errors_of_a_clip():
    counts = count_errors("bin blue at f", "bin at g g", ("wer", "cer"))
    assert counts["wer"] == 3
    assert (counts["wer_of"], counts["cer_of"]) == (4, 13)


def test_nothing_read_is_all_deleted():
    assert count_errors("bin blue", "", ("wer", "cer")) == {"wer": 2, "wer_of": 2, "cer": 8, "cer_of": 8}


def test_a_rate_weighs_clips_by_their_length():
    rows = [{"wer": 1, "wer_of": 1}, {"wer": 0, "wer_of": 3}]
    assert rate_percent(rows, "wer") == 25


def test_words_that_look_alike_are_no_error_in_visemes():
    pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")
    counts = count_errors("pat bin", "bad pin", ("wer", "werv", "cerv"))
    assert (counts["wer"], counts["werv"], counts["cerv"]) == (2, 0, 0)
