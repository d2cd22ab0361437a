"""Shared edits are the edits, for fewer network evaluations."""

import pytest
import torch

from stages.common.editor import load_editor
from stages.common.emotions import EDIT_TARGETS, EMOTIONS
from stages.evaluate.sharing import Cell, count_evaluations, edit_into_each

SOURCES = torch.tensor([0, 3])


@pytest.fixture(scope="module")
def editor(tiny):
    return load_editor(tiny.root)


@pytest.fixture(scope="module")
def faces():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("cell", [Cell(400, 3.0, 4), Cell(400, 1.0, 4), Cell(300, 2.5, 1), Cell(1, 3.0, 1)])
def test_every_target_gets_what_the_editor_makes_for_it_alone(editor, faces, cell):
    shared = edit_into_each(editor, faces, SOURCES, ("happy", "anger"), cell)
    for target, edited in zip(("happy", "anger"), shared, strict=True):
        alone = editor.edit(
            faces,
            SOURCES,
            torch.full((2,), EMOTIONS.index(target)),
            strength=cell.strength,
            steps=cell.steps,
            guidance_scale=torch.full((2,), cell.guidance_scale),
        )
        torch.testing.assert_close(edited, alone.edited, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_six_targets_take_at_most_sixty_percent_of_the_evaluations(editor, faces, guidance_scale):
    cell = Cell(400, guidance_scale, 4)
    with count_evaluations(editor.denoiser.unet) as shared:
        edit_into_each(editor, faces, SOURCES, EDIT_TARGETS, cell)
    with count_evaluations(editor.denoiser.unet) as naive:
        for target in EDIT_TARGETS:
            editor.edit(
                faces,
                SOURCES,
                torch.full((2,), EMOTIONS.index(target)),
                strength=400,
                steps=4,
                guidance_scale=torch.full((2,), guidance_scale),
            )
    assert naive.samples == cell.naive_evaluations(faces=2, targets=6)
    assert 0.5 * naive.samples < shared.samples <= 0.6 * naive.samples
