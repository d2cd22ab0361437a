"""The losses that steer tuning, by numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stages.models.finetuning_guides import (
    ClassifierGuide,
    DirectionalGuide,
    directional_distance,
    log_agreement_loss,
    text_directions,
)


def test_the_directional_distance_is_one_less_the_cosine():
    image = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0]])
    text = torch.tensor([[5.0, 0.0]]).expand(4, 2)
    expected = torch.tensor([0.0, 1.0, 2.0, 1 - math.sqrt(0.5)])
    torch.testing.assert_close(directional_distance(image, text), expected)


def test_agreement_costs_nothing_and_opposition_much():
    loss = log_agreement_loss(torch.tensor([0.0, 1.0, 1.5, 2.0]))
    torch.testing.assert_close(loss[:3], torch.tensor([0.0, math.log(2), math.log(4)]))
    assert 10 < loss[3] < math.inf


def test_directions_lead_from_each_text_to_the_target():
    texts = torch.tensor([[[2.0, 0.0], [4.0, 0.0]], [[0.0, 1.0], [0.0, 9.0]], [[1.0, 0.0], [0.0, 1.0]]])
    expected = torch.tensor([[-1.0, 1.0], [0.0, 0.0], [-0.5, 0.5]])
    torch.testing.assert_close(text_directions(texts, target=1), expected)


class MeanColour(nn.Module):
    """Embeds a picture as its mean colour, undoing CLIP's normalisation."""

    def forward(self, x_BCHW):
        std = torch.tensor((0.26862954, 0.26130258, 0.27577711))
        mean = torch.tensor((0.48145466, 0.4578275, 0.40821073))
        return x_BCHW.mean(dim=(2, 3)) * std + mean


def test_the_guide_compares_how_pictures_and_texts_differ():
    directions = torch.tensor([[-1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    guide = DirectionalGuide(MeanColour(), directions, size_px=8)
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    green = red.roll(1, dims=1)
    assert guide(green, red, torch.tensor([0])).item() == pytest.approx(0, abs=1e-5)
    half = -math.log((1 + math.sqrt(0.5)) / 2)
    assert guide(green, red, torch.tensor([1])).item() == pytest.approx(half, abs=1e-5)
    both = guide(green.expand(2, -1, -1, -1), red.expand(2, -1, -1, -1), torch.tensor([0, 1]))
    assert both.item() == pytest.approx(half / 2, abs=1e-5)


def test_descending_the_guide_turns_an_edit_into_the_direction():
    directions = torch.tensor([[-1.0, 1.0, 0.0]])
    guide = DirectionalGuide(MeanColour(), directions, size_px=8)
    source = torch.zeros(1, 3, 8, 8)
    edit = (source + 0.1 * torch.randn(source.shape, generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    (gradient,) = torch.autograd.grad(guide(edit, source, torch.tensor([0])), edit)
    red, green, _ = (-gradient).sum(dim=(0, 2, 3))
    assert green > 0 > red


def test_an_unchanged_edit_has_a_finite_gradient():
    guide = DirectionalGuide(MeanColour(), torch.tensor([[-1.0, 1.0, 0.0]]), size_px=8)
    source = torch.full((1, 3, 8, 8), 0.5)
    edit = source.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(guide(edit, source, torch.tensor([0])), edit)
    assert gradient.isfinite().all()


def test_the_classifier_guide_is_the_likelihood_of_the_target():
    logits = torch.tensor([[1.0, 3.0, 0.0], [2.0, 2.0, 2.0]])
    guide = ClassifierGuide(lambda _x: logits, target=1)  # type: ignore[arg-type]
    expected = F.nll_loss(logits.log_softmax(dim=1), torch.tensor([1, 1]))
    torch.testing.assert_close(guide(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), torch.tensor([0, 2])), expected)
