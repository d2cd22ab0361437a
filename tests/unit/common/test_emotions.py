import pytest

from stages.common.emotions import EMOTIONS, NULL_CLASS, emotion_index, format_mixture, parse_emotion, parse_mixture
from stages.common.errors import ConfigError


def test_the_order_is_affectnets():
    assert EMOTIONS == ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
    assert NULL_CLASS == 8
    assert [emotion_index(name) for name in EMOTIONS] == list(range(8))


@pytest.mark.parametrize(
    ("word", "emotion"),
    [("Happiness", "happy"), (" scared ", "fear"), ("ANGRY", "anger"), ("sadness", "sad"), ("disgusted", "disgust")],
)
def test_synonyms_in_any_case(word, emotion):
    assert parse_emotion(word) == emotion


@pytest.mark.parametrize(("typo", "near"), [("hapy", "happy"), ("suprise", "surprise"), ("angyr", "angry")])
def test_a_typo_gets_a_suggestion(typo, near):
    with pytest.raises(ConfigError, match=f"unknown emotion '{typo}'. Did you mean {near}") as caught:
        parse_emotion(typo)
    assert caught.value.exit_code == 2


def test_what_resembles_nothing_gets_the_list():
    with pytest.raises(ConfigError, match=r"Known: neutral, happy"):
        parse_emotion("qwxz")


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("Joy", {"happy": 1.0}),
        ("happy:5", {"happy": 1.0}),
        ("happy, sad", {"happy": 0.5, "sad": 0.5}),
        ("angry:3,fear:1", {"anger": 0.75, "fear": 0.25}),
    ],
)
def test_mixtures_add_up_to_one_and_are_read_back(text, weights):
    assert parse_mixture(text) == weights
    assert parse_mixture(format_mixture(weights)) == weights


@pytest.mark.parametrize("text", ["happy:0", "happy:-1", "happy:x", "happy:", "happy:nan", "happy,joy", "happy,", ""])
def test_what_is_no_mixture(text):
    with pytest.raises(ConfigError):
        parse_mixture(text)
