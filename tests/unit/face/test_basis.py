"""The basis of expressions, fitted to faces that are made by a known one."""

import numpy as np
import pytest
from support.expression_editor import drawn_basis, drawn_points

from stages.common.expressions import Expressions
from stages.common.face.basis import RIGID, fit_basis
from stages.common.face.expression import COEFFICIENTS
from stages.common.face.mesh import mirror_points

SIZE_PX, PEOPLE, PHOTOS = 128, 60, 5
SMILES = [COEFFICIENTS.index(f"mouthSmile{side}") for side in ("Left", "Right")]
JAW, BROW, FROWN = (COEFFICIENTS.index(name) for name in ("jawOpen", "browInnerUp", "mouthFrownLeft"))
PUFF = COEFFICIENTS.index("cheekPuff")


def rotation(angles):
    x, y, z = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def symmetric_rest():
    """The drawn face, the mean of itself and its mirror image."""
    points = drawn_points(SIZE_PX)
    return (points + mirror_points(points, SIZE_PX)) / 2


def known_displacement(rest_P3):
    """By the drawn basis, but for the rigid points and made symmetric like the coefficients."""
    basis = drawn_basis(SIZE_PX).basis_KP3.astype(np.float64)
    basis[:, list(RIGID)] = 0
    mirrored = np.stack([mirror_points((rest_P3 + d).astype(np.float32), SIZE_PX) for d in basis]) - rest_P3
    swap = {SMILES[0]: SMILES[1], SMILES[1]: SMILES[0]}
    return np.stack([(basis[k] + mirrored[swap.get(k, k)]) / 2 for k in range(len(basis))])


@pytest.fixture(scope="module")
def made():
    """Faces of ``PEOPLE`` people in several photos each, turned, scaled and shifted, and what moves them."""
    random = np.random.default_rng(0)
    rest = symmetric_rest()
    truth_KP3 = known_displacement(rest)
    shapes = random.normal(0, 0.6, (4, *rest.shape))
    points, coefficients, identities, names, neutral = [], [], [], [], []
    for person in range(PEOPLE):
        who = random.normal(size=4)
        for photo in range(PHOTOS):
            amounts = np.zeros(len(COEFFICIENTS))
            if photo:
                amounts[[*SMILES, JAW, BROW]] = random.uniform(0, 0.8, 4)
                amounts[FROWN] = random.uniform(0, 0.05)
            else:
                amounts[JAW] = 0.03
            face = rest + np.tensordot(amounts, truth_KP3, axes=1) + np.tensordot(who, shapes, axes=1)
            center = face.mean(axis=0)
            turned = (face - center) @ rotation(random.uniform(-0.25, 0.25, 3)).T * random.uniform(0.9, 1.1)
            points.append(turned + center + random.uniform(-3, 3, 3) + random.normal(0, 0.05, face.shape))
            coefficients.append(amounts)
            identities.append(np.concatenate([who, np.zeros(4)]) + random.normal(0, 0.02, 8))
            names.append(f"person {person}" if person % 3 else None)
            neutral.append(photo == 0)
    expressions = Expressions(
        np.asarray(points, np.float32), np.asarray(coefficients, np.float32), np.asarray(identities, np.float32)
    )
    return expressions, names, np.array(neutral), truth_KP3


@pytest.fixture(scope="module")
def basis(made):
    expressions, names, neutral, _ = made
    return fit_basis(expressions, names, neutral, SIZE_PX)


def test_the_displacements_are_recovered_in_spite_of_people_and_poses(made, basis):
    truth_KP3 = made[3]
    for k in (*SMILES, JAW, BROW):
        error = np.abs(basis.basis_KP3[k] - truth_KP3[k])
        largest = np.abs(truth_KP3[k]).max()
        assert largest > 4
        assert error.max() < 0.12 * largest, COEFFICIENTS[k]
        assert error.mean() < 0.02 * largest


def test_left_and_right_are_mirror_images(basis):
    left, right = (basis.basis_KP3[k] for k in SMILES)
    mean = basis.mean_P3
    mirrored = mirror_points(mean + left, SIZE_PX) - mirror_points(mean, SIZE_PX)
    np.testing.assert_allclose(mirrored, right, atol=0.05)
    np.testing.assert_allclose(mirror_points(mean, SIZE_PX), mean, atol=0.05)


def test_what_is_usual_and_what_rests(basis):
    assert basis.usual_K[JAW] == pytest.approx(0.77, abs=0.04)
    assert basis.rest_K[JAW] == pytest.approx(0.03)
    assert basis.rest_K[SMILES[0]] == 0
    assert basis.size_px == SIZE_PX


def test_silent_coefficients_are_made_by_hand_and_not_heard(basis):
    heard = {name for name, yes in zip(COEFFICIENTS, basis.heard_K, strict=True) if yes}
    assert heard == {"mouthSmileLeft", "mouthSmileRight", "jawOpen", "browInnerUp", "mouthFrownLeft", "mouthFrownRight"}
    assert not basis.basis_KP3[PUFF].any()
    sneer = basis.basis_KP3[COEFFICIENTS.index("noseSneerLeft")]
    assert sneer[:, 1].min() < -0.01 * SIZE_PX
    assert not sneer[:, [0, 2]].any()
    # A frown, of which the teacher sees a tenth, pulls the corner of the lips down (y grows downwards).
    frown = basis.basis_KP3[FROWN]
    assert frown[291, 1] == pytest.approx(0.22 * SIZE_PX, rel=0.2)
    assert abs(frown[61, 1]) < 0.25 * frown[291, 1]


def test_a_displacement_turns_and_grows_with_the_face(basis):
    change_K = np.zeros(len(COEFFICIENTS), np.float32)
    change_K[JAW] = 0.5
    plain = basis.displacement(basis.mean_P3, change_K)
    np.testing.assert_allclose(plain, 0.5 * basis.basis_KP3[JAW], atol=1e-3)
    turn = rotation((0.1, -0.2, 0.3))
    face = (1.7 * basis.mean_P3 @ turn.T + (5, -3, 2)).astype(np.float32)
    np.testing.assert_allclose(basis.displacement(face, change_K), 1.7 * plain @ turn.T, atol=1e-3)


def test_no_change_is_no_displacement(basis):
    nothing = np.zeros(len(COEFFICIENTS), np.float32)
    assert not basis.displacement(drawn_points(SIZE_PX), nothing).any()


def test_faces_of_which_nothing_is_known_are_left_out(made, basis):
    expressions, names, neutral, _ = made
    blank = np.full((1, *expressions.points_NP3.shape[1:]), np.nan, np.float32)
    nobody = np.full((1, expressions.coefficients_NK.shape[1]), np.nan, np.float32)
    more = Expressions(
        np.concatenate([blank, expressions.points_NP3]),
        np.concatenate([nobody, expressions.coefficients_NK]),
        np.concatenate([expressions.identities_ND[:1], expressions.identities_ND]),
    )
    again = fit_basis(more, [None, *names], np.concatenate([[True], neutral]), SIZE_PX)
    np.testing.assert_allclose(again.basis_KP3, basis.basis_KP3, atol=1e-4)
    np.testing.assert_array_equal(again.rest_K, basis.rest_K)


def test_without_neutral_faces_rest_is_the_median_of_all(made):
    expressions, names, neutral, _ = made
    found = fit_basis(expressions, names, np.zeros_like(neutral), SIZE_PX)
    assert found.rest_K[JAW] > 0.2
