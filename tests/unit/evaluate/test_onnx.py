"""Experts from ONNX files: tiny networks in the places of the real ones."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from torch import nn

from stages.common.errors import MissingModelError
from stages.common.experts import EXPERTS
from stages.common.face.detect import DlibDetector
from stages.evaluate.judging import Judge
from stages.evaluate.onnx import HSEMOTION_LABELS, CosFaceEmbedder, HsEmotion
from stages.evaluate.statistics import cosine

HSEMOTION, COSFACE = (EXPERTS[name].file_name for name in ("hsemotion", "cosface"))


def export(path, size_px, classes):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 5, 4), nn.SiLU(), nn.AvgPool2d(9, 9), nn.Flatten(), nn.LazyLinear(classes))
    network(torch.rand(1, 3, size_px, size_px))
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (torch.rand(1, 3, size_px, size_px),), str(path), dynamo=False)
    return network


@pytest.fixture
def place(no_weights, tmp_path, monkeypatch):
    """Where the experts' files belong; any content may take the place of HSEmotion's."""
    monkeypatch.setitem(EXPERTS, "hsemotion", replace(EXPERTS["hsemotion"], git_blob=None))
    return tmp_path / "home" / "weights"


@pytest.fixture(scope="module")
def face():
    return DlibDetector()(astronaut())[0]


def test_hsemotion_sees_what_torch_sees(place):
    network = export(place / HSEMOTION, 260, len(HSEMOTION_LABELS))
    pictures = np.random.default_rng(0).integers(0, 256, (3, 260, 260, 3), np.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (torch.from_numpy(pictures).float() / 255 - mean) / std
    expected = network(x.permute(0, 3, 1, 2)).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(HsEmotion()(pictures), expected, atol=1e-5)
    (row, *_) = Judge(["accuracy_hsemotion"], None)(
        [None] * 3, pictures, pictures, HSEMOTION_LABELS[expected[0].argmax()]
    )
    assert row["accuracy_hsemotion"] == 1
    assert row["hsemotion_p_target"] == pytest.approx(expected[0].max(), abs=1e-5)


def test_cosface_sees_the_face_where_it_expects_it(place, face):
    network = export(place / COSFACE, 112, 6)
    embed = CosFaceEmbedder()
    rgb = astronaut()
    seen = []
    embed._network = lambda inputs: (
        seen.append(inputs) or network(torch.from_numpy(inputs).permute(0, 3, 1, 2)).detach().numpy()
    )
    direct = embed(rgb, face.landmarks)
    (inputs,) = seen
    assert inputs.shape == (1, 112, 112, 3)
    assert -1 <= inputs.min() < inputs.max() <= 1
    np.testing.assert_allclose(CosFaceEmbedder()(rgb, face.landmarks), direct, rtol=1e-3, atol=1e-5)
    moved = CosFaceEmbedder()(np.roll(rgb, 7, axis=1), face.landmarks + np.array([7, 0]))
    assert cosine(direct, moved) == pytest.approx(1, abs=1e-3)


def test_files_that_are_absent_or_no_networks(place):
    with pytest.raises(MissingModelError, match=HSEMOTION):
        HsEmotion()
    place.mkdir(parents=True)
    (place / HSEMOTION).write_bytes(b"no network")
    with pytest.raises(MissingModelError, match="is not an ONNX network"):
        HsEmotion()
