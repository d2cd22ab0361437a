import pytest

from stages.common.emotions import EMOTIONS, NULL_CLASS, emotion_index, parse_emotion
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
