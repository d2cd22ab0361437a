"""Error rates are what jiwer gives when called directly."""

import pytest

from stages.evaluate.talk.error_rates import count_errors, rate_percent

jiwer = pytest.importorskip("jiwer")

TRANSCRIPTS = [
    "bin blue at f two now",
    "set white in z nine soon",
    "place red by q one please",
    "lay green with a zero",
]
READ = ["bin blue at s two now", "", "place a red by q please again", "lay green with a zero"]


@pytest.mark.parametrize("rate", ["wer", "cer"])
def test_rates_of_a_set_are_jiwers(rate):
    rows = [count_errors(t, r, [rate]) for t, r in zip(TRANSCRIPTS, READ, strict=True)]
    assert rate_percent(rows, rate) == pytest.approx(100 * getattr(jiwer, rate)(TRANSCRIPTS, READ), abs=1e-6)
    for row, transcript, read in zip(rows, TRANSCRIPTS, READ, strict=True):
        assert rate_percent([row], rate) == pytest.approx(100 * getattr(jiwer, rate)(transcript, read), abs=1e-6)


@pytest.mark.parametrize(("rate", "plain"), [("werv", "wer"), ("cerv", "cer")])
def test_rates_in_visemes_are_jiwers_of_visemes(rate, plain):
    pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")
    rows = [count_errors(t, r, [rate]) for t, r in zip(TRANSCRIPTS[:2], READ[:2], strict=True)]
    transcripts = ["pit plu at Ef tu ta", "sEt uat it si tat sut"]
    expected = getattr(jiwer, plain)(transcripts, ["pit plu at Es tu ta", ""])
    assert rate_percent(rows, rate) == pytest.approx(100 * expected, abs=1e-6)
