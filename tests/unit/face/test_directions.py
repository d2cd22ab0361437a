"""Emotions, action units and affect as changes of coefficients."""

from pathlib import Path

import numpy as np
import pytest

from stages.common.emotions import EMOTIONS
from stages.common.errors import ConfigError
from stages.common.face.directions import (
    ACTION_UNITS,
    affect_direction,
    affect_of,
    coefficient_names,
    emotion_direction,
    gaze_or_blink,
    rested,
    unit_direction,
)
from stages.common.face.expression import COEFFICIENTS
from stages.common.face.mesh import mirror_coefficients

DOCS = Path(__file__).parents[3] / "docs" / "edit.md"


def parts(direction_K):
    return {name: round(float(v), 4) for name, v in zip(COEFFICIENTS, direction_K, strict=True) if v}


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_has_a_direction_that_leaves_gaze_and_blink(emotion):
    direction_K = emotion_direction(emotion)
    assert direction_K.shape == (len(COEFFICIENTS),)
    assert direction_K.any() == (emotion != "neutral")
    assert not direction_K[gaze_or_blink()].any()
    both_sides = np.array_equal(mirror_coefficients(direction_K), direction_K)
    assert both_sides == (emotion != "contempt")


def test_emotions_differ_and_say_what_they_are_known_for():
    directions = [emotion_direction(emotion) for emotion in EMOTIONS]
    assert all(not np.array_equal(a, b) for i, a in enumerate(directions) for b in directions[:i])
    for emotion, name in [
        ("happy", "mouthSmileLeft"),
        ("sad", "mouthFrownRight"),
        ("surprise", "eyeWideLeft"),
        ("fear", "mouthStretchLeft"),
        ("disgust", "noseSneerRight"),
        ("anger", "browDownLeft"),
        ("contempt", "mouthDimpleRight"),
    ]:
        assert parts(emotion_direction(emotion))[name] >= 0.5, emotion


def test_action_units_name_both_sides_or_one():
    both = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}
    for name in ("AU12", "au12", "12", " AU12 "):
        assert parts(unit_direction(name)) == both
    assert parts(unit_direction("AU12L")) == {"mouthSmileLeft": 1.0}
    assert parts(unit_direction("au12r")) == {"mouthSmileRight": 1.0}
    assert parts(unit_direction("AU6L")) == {"cheekSquintLeft": 1.0, "eyeSquintLeft": 0.4}


def test_a_part_that_has_no_sides_belongs_to_either():
    assert parts(unit_direction("AU1L")) == parts(unit_direction("AU1")) == {"browInnerUp": 1.0}
    assert parts(unit_direction("AU25R")) == {
        "mouthLowerDownRight": 0.5,
        "mouthUpperUpRight": 0.3,
        "jawOpen": 0.15,
    }


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_the_sides_of_an_action_unit_are_mirror_images(unit):
    left_K, right_K = (unit_direction(f"AU{unit}{side}") for side in "LR")
    assert left_K.any()
    assert np.array_equal(mirror_coefficients(left_K), right_K)


@pytest.mark.parametrize("name", ["AU3", "AU12X", "smile", "", "AU", "AU-1", "AU12LR"])
def test_an_unknown_action_unit_lists_the_known(name):
    with pytest.raises(ConfigError, match=r"unknown action unit .*AU1, AU2, .*AU43.*one side"):
        unit_direction(name)


def test_coefficients_are_named_with_a_side_or_without():
    assert coefficient_names("jawOpen") == ("jawOpen",)
    assert coefficient_names("mouthSmileLeft") == ("mouthSmileLeft",)
    assert coefficient_names("mouthSmile") == ("mouthSmileLeft", "mouthSmileRight")
    # The jaw and the mouth also move to a side as a whole.
    assert coefficient_names("jaw") == ("jawLeft", "jawRight")


@pytest.mark.parametrize(("name", "near"), [("jawOpn", "jawOpen"), ("browInerUp", "browInnerUp")])
def test_an_unknown_coefficient_names_the_nearest(name, near):
    with pytest.raises(ConfigError, match=f"unknown coefficient {name!r}.*Did you mean {near}"):
        coefficient_names(name)


def test_a_coefficient_like_none_points_to_the_list():
    with pytest.raises(ConfigError, match="`facediff expression` lists them"):
        coefficient_names("qqqq")


@pytest.mark.parametrize("affect", [(0, 0), (1, 0), (0, 1), (-0.5, 0.25), (0.3, -1)])
def test_affect_comes_back_from_its_direction(affect):
    assert affect_of(affect_direction(*affect)) == pytest.approx(affect, abs=1e-5)


@pytest.mark.parametrize(
    ("emotion", "valence", "arousal"),
    [("happy", 1, 1), ("surprise", 0, 1), ("sad", -1, 0), ("anger", -1, 0), ("fear", -1, 1), ("disgust", -1, 0)],
)
def test_the_affect_of_an_emotion_has_its_sign(emotion, valence, arousal):
    found = affect_of(emotion_direction(emotion))
    for sign, value in zip((valence, arousal), found, strict=True):
        assert sign * value > 0 or not sign
    assert max(map(abs, found)) <= 1


def test_a_face_without_expression_has_no_affect():
    assert affect_of(np.zeros(len(COEFFICIENTS), np.float32)) == pytest.approx((0, 0))


def test_a_rested_face_keeps_gaze_and_blink_and_what_rests_already():
    own_K = np.full(len(COEFFICIENTS), 0.7, np.float32)
    own_K[COEFFICIENTS.index("jawOpen")] = 0.01
    rest_K = np.full(len(COEFFICIENTS), 0.05, np.float32)
    found = rested(own_K, rest_K)
    kept = gaze_or_blink()
    assert [name for name, keep in zip(COEFFICIENTS, kept, strict=True) if keep] == [
        name for name in COEFFICIENTS if name.startswith(("eyeLook", "eyeBlink"))
    ]
    np.testing.assert_allclose(found[kept], 0.7)
    assert found[COEFFICIENTS.index("jawOpen")] == np.float32(0.01)
    assert found[COEFFICIENTS.index("mouthSmileLeft")] == np.float32(0.05)


def documented(heading):
    """The rows of the table below a heading of ``docs/edit.md``: the first cell, and the direction in the last."""
    section = DOCS.read_text("utf-8").split(f"### {heading}\n")[1].split("\n##")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and not cells[0].startswith(("-", "unit", "emotion")):
            side, parts = (
                ("Right", cells[-1].removeprefix("on the right ")) if "right" in cells[-1] else ("", cells[-1])
            )
            pairs = [(*part.split(" "), "1")[:2] for part in parts.split(", ")]
            yield cells[0], {name + side: float(value) for name, value in pairs}


def as_vector(named):
    vector = np.zeros(len(COEFFICIENTS), np.float32)
    for part, value in named.items():
        for name in coefficient_names(part):
            vector[COEFFICIENTS.index(name)] = value
    return vector


def test_the_documents_say_what_directions_do():
    units, emotions = dict(documented("Action units")), dict(documented("Emotions"))
    assert list(units) == [f"AU{unit}" for unit in ACTION_UNITS]
    assert set(emotions) == set(EMOTIONS) - {"neutral"}
    for name, parts in units.items():
        np.testing.assert_allclose(as_vector(parts), unit_direction(name), err_msg=name)
    for name, parts in emotions.items():
        np.testing.assert_allclose(as_vector(parts), emotion_direction(name), err_msg=name)
