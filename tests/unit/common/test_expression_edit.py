"""From what is asked for to coefficients, to conditions, and to where points go."""

import numpy as np
import pytest
import torch
from support.expression_editor import FakeExpressionEditor, drawn_basis, drawn_points

from stages.common.emotions import EMOTIONS, NULL_CLASS
from stages.common.errors import BadInputError, ConfigError
from stages.common.expression_edit import (
    MOST_REACH,
    ExpressionTarget,
    plan_expressions,
    reaching_change,
    target_coefficients,
)
from stages.common.face.basis import ExpressionBasis
from stages.common.face.directions import emotion_direction, gaze_or_blink
from stages.common.face.expression import COEFFICIENTS
from stages.common.face.geometry import draw_geometry

BASIS = drawn_basis()
OWN = {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.5, "jawOpen": 0.1, "eyeLookInLeft": 0.4, "eyeBlinkRight": 0.2}


def coefficients(**values):
    return np.array([values.get(name, 0.0) for name in COEFFICIENTS], np.float32)


def wanted(own=OWN, **fields):
    found_K = target_coefficients(coefficients(**own), ExpressionTarget(**fields), BASIS)
    return dict(zip(COEFFICIENTS, found_K, strict=True))


def usually(emotion, name):
    """What an emotion adds to a coefficient, at most 1."""
    index = COEFFICIENTS.index(name)
    return float(min(1, emotion_direction(emotion)[index] * BASIS.usual_K[index]))


def test_nothing_asked_for_is_the_faces_own():
    np.testing.assert_array_equal(list(wanted().values()), coefficients(**OWN))


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_amount_zero_is_the_faces_own(emotion):
    found = wanted(mixture={emotion: 1.0}, amount=0.0, au={"AU4": 1.0}, valence=-1.0)
    np.testing.assert_allclose(list(found.values()), coefficients(**OWN), atol=1e-7)


def test_an_emotion_takes_the_place_of_the_own_smile():
    found = wanted(mixture={"sad": 1.0})
    assert (found["mouthSmileLeft"], found["mouthSmileRight"]) == pytest.approx((0.02, 0.02))
    assert found["browInnerUp"] == pytest.approx(usually("sad", "browInnerUp"))
    assert wanted(mixture={"neutral": 1.0})["mouthSmileLeft"] == pytest.approx(0.02)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_gaze_and_blink_stay_under_every_emotion(emotion):
    found = wanted(mixture={emotion: 1.0}, amount=1.5, copied={"eyeLookInLeft": 1.0})
    assert (found["eyeLookInLeft"], found["eyeBlinkRight"]) == pytest.approx((0.4, 0.2))


def test_amounts_lie_on_the_line_and_go_beyond_it():
    own, whole = 0.6, wanted(mixture={"neutral": 1.0})["mouthSmileLeft"]
    half = wanted(mixture={"neutral": 1.0}, amount=0.5)["mouthSmileLeft"]
    assert half == pytest.approx((own + whole) / 2)
    smile = usually("happy", "mouthSmileLeft")
    assert wanted(mixture={"happy": 1.0}, amount=0.5, own={})["mouthSmileLeft"] == pytest.approx(0.5 * smile)
    assert wanted(mixture={"happy": 1.0}, amount=1.5, own={})["mouthSmileLeft"] == pytest.approx(1.5 * smile)
    everything = wanted(mixture={"surprise": 1.0}, amount=1.5)
    assert 0 <= min(everything.values()) <= max(everything.values()) <= 1


def test_a_mixture_is_the_weighted_sum():
    found = wanted(mixture={"happy": 0.5, "surprise": 0.5}, own={})
    assert found["mouthSmileLeft"] == pytest.approx(0.5 * usually("happy", "mouthSmileLeft"))
    assert found["browInnerUp"] == pytest.approx(0.5 * usually("surprise", "browInnerUp"))


def test_action_units_add_to_what_is_there_on_one_side_or_both():
    found = wanted(au={"AU4": 0.8, "AU12L": 0.4})
    assert found["browDownLeft"] == found["browDownRight"] == pytest.approx(0.4)
    assert found["mouthSmileLeft"] == pytest.approx(0.6 + 0.2)
    assert found["mouthSmileRight"] == np.float32(0.5)
    assert wanted(au={"AU12": -0.4})["mouthSmileLeft"] == pytest.approx(0.4)
    both = wanted(mixture={"sad": 1.0}, au={"AU12": 1.0})
    assert both["mouthSmileLeft"] == pytest.approx(0.52)


def test_coefficients_are_set_or_added_to_and_come_last():
    found = wanted(expression={"jawOpen": "0.4", "mouthSmile": "+0.2", "eyeBlinkRight": "-0.5", "browInnerUp": "2"})
    assert found["jawOpen"] == pytest.approx(0.4)
    assert (found["mouthSmileLeft"], found["mouthSmileRight"]) == pytest.approx((0.8, 0.7))
    assert found["eyeBlinkRight"] == 0
    assert found["browInnerUp"] == 1
    after = wanted(mixture={"surprise": 1.0}, amount=0.5, expression={"jawOpen": "+0.1"})
    without = wanted(mixture={"surprise": 1.0}, amount=0.5)
    assert after["jawOpen"] == pytest.approx(without["jawOpen"] + 0.1)
    assert after["eyeWideLeft"] == without["eyeWideLeft"]


def test_another_faces_expression_is_taken_but_for_its_gaze():
    other = {"mouthSmileLeft": 0.0, "browInnerUp": 0.3, "eyeLookInLeft": 0.9, "eyeBlinkRight": 0.8}
    found = wanted(copied=other)
    assert (found["mouthSmileLeft"], found["browInnerUp"]) == (0, np.float32(0.3))
    assert found["mouthSmileRight"] == np.float32(0.5)
    kept = gaze_or_blink()
    np.testing.assert_array_equal(np.array(list(found.values()))[kept], coefficients(**OWN)[kept])


def test_valence_and_arousal_move_the_mouth_and_the_eyes():
    assert wanted(valence=1.0)["mouthSmileLeft"] > 0.6
    assert wanted(valence=-1.0)["mouthSmileLeft"] < 0.6
    assert wanted(arousal=1.0)["eyeWideLeft"] > 0
    assert wanted(valence=0.0, arousal=0.0) == wanted()


def test_the_target_is_no_view_of_the_own():
    own_K = coefficients(**OWN)
    target_coefficients(own_K, ExpressionTarget(expression={"jawOpen": "1"}), BASIS)
    np.testing.assert_array_equal(own_K, coefficients(**OWN))


@pytest.mark.parametrize("fields", [{"au": {"AU3": 1.0}}, {"expression": {"jawOpn": "1"}}])
def test_unknown_names_are_refused(fields):
    with pytest.raises(ConfigError, match="unknown"):
        wanted(**fields)


def test_a_plan_tells_the_network_both_faces_and_moves_the_points():
    editor = FakeExpressionEditor(own=OWN)
    images = torch.zeros(2, 3, 128, 128)
    plan = plan_expressions(editor, images, ExpressionTarget(expression={"jawOpen": "0.6", "browInnerUp": "0.3"}))
    for condition in (plan.source, plan.target):
        assert condition.labels_B.tolist() == [NULL_CLASS, NULL_CLASS]
        assert condition.coefficients_BK.shape == (2, len(COEFFICIENTS))
        assert condition.geometry_BGSS.shape == (2, 6, 64, 64)
        assert condition.geometry_BGSS.max() == 1
    assert torch.equal(plan.source.identity_BE, plan.target.identity_BE)
    np.testing.assert_array_equal(plan.source.coefficients_BK[0], coefficients(**OWN))
    assert plan.target.coefficients_BK[0, COEFFICIENTS.index("jawOpen")] == pytest.approx(0.6)
    assert len(plan.moves) == 2
    for move in plan.moves:
        np.testing.assert_array_equal(move.source_P3, drawn_points())
        change_K = coefficients(jawOpen=0.5, browInnerUp=0.3)
        np.testing.assert_allclose(
            move.target_P3 - move.source_P3, np.tensordot(change_K, BASIS.basis_KP3, axes=1), atol=1e-3
        )
        drawn = torch.from_numpy(draw_geometry(move.target_P3[:, :2], 128)).float() / 255
        assert torch.equal(plan.target.geometry_BGSS[0], drawn)
    assert not torch.equal(plan.source.geometry_BGSS, plan.target.geometry_BGSS)


def test_a_plan_of_no_change_moves_nothing():
    plan = plan_expressions(FakeExpressionEditor(own=OWN), torch.zeros(1, 3, 128, 128), ExpressionTarget())
    assert torch.equal(plan.source.coefficients_BK, plan.target.coefficients_BK)
    assert torch.equal(plan.source.geometry_BGSS, plan.target.geometry_BGSS)
    np.testing.assert_array_equal(plan.moves[0].source_P3, plan.moves[0].target_P3)


def test_a_face_that_cannot_be_measured_is_refused():
    with pytest.raises(BadInputError, match="cannot be measured") as caught:
        plan_expressions(FakeExpressionEditor(confidence=0.1), torch.zeros(1, 3, 128, 128), ExpressionTarget())
    assert caught.value.reason == "no face"


class Answers(FakeExpressionEditor):
    """Interprets points by ``curve`` of what the basis put in."""

    curve = staticmethod(lambda found_K: found_K)
    asked = 0

    def interpret(self, points_P3):
        self.asked += 1
        return self.curve(super().interpret(points_P3))


def reached(editor, change_K):
    points = drawn_points()
    moved = points + editor.basis.displacement(points, change_K)
    return editor.interpret(moved) - editor.interpret(points)


@pytest.mark.parametrize("curve", [lambda k: 0.7 * k, lambda k: 0.8 * k + 0.3 * k**2, lambda k: np.tanh(1.5 * k) / 1.5])
def test_points_are_moved_until_they_show_what_is_wanted(curve):
    editor = Answers()
    editor.curve = curve
    wanted_K = coefficients(jawOpen=0.6, browInnerUp=0.4)
    change_K = reaching_change(drawn_points(), wanted_K, editor)
    for name in ("jawOpen", "browInnerUp"):
        index = COEFFICIENTS.index(name)
        before, after = (abs(reached(editor, k)[index] - wanted_K[index]) for k in (wanted_K, change_K))
        assert after < 0.3 * before
        assert after < 0.05
    assert not change_K[wanted_K == 0].any()


def test_a_basis_that_is_right_is_asked_for_what_is_wanted():
    wanted_K = coefficients(jawOpen=0.6, mouthSmileLeft=0.4)
    np.testing.assert_allclose(reaching_change(drawn_points(), wanted_K, FakeExpressionEditor()), wanted_K, atol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_never_shows_is_not_asked_for_without_end(sign):
    editor = Answers()
    editor.curve = np.zeros_like
    wanted_K = sign * coefficients(jawOpen=0.3)
    np.testing.assert_allclose(reaching_change(drawn_points(), wanted_K, editor), MOST_REACH * wanted_K, rtol=1e-6)
    assert editor.asked <= 4


def test_coefficients_that_the_teacher_never_gives_are_not_checked():
    class Deaf(Answers):
        @property
        def basis(self):
            basis = drawn_basis()
            usual_K = np.where(np.arange(len(COEFFICIENTS)) == COEFFICIENTS.index("jawOpen"), 1.0, basis.usual_K)
            return ExpressionBasis(
                basis.mean_P3, basis.basis_KP3, usual_K.astype(np.float32), basis.rest_K, basis.size_px
            )

    editor = Deaf()
    editor.curve = np.zeros_like
    wanted_K = coefficients(jawOpen=0.3, browInnerUp=0.3)
    change_K = reaching_change(drawn_points(), wanted_K, editor)
    assert change_K[COEFFICIENTS.index("jawOpen")] == np.float32(0.3)
    assert change_K[COEFFICIENTS.index("browInnerUp")] == np.float32(0.6)
