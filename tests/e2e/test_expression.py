"""``facediff expression`` on a real portrait, with a network that has seen nothing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from support.edit_model import seal_model
from support.expressions import face_points

from facediff_cli.main import main
from stages.common.checkpoint import save_expression_network
from stages.common.manifest import ArtifactKind
from stages.models.expression_network import ExpressionNetwork, ExpressionNetworkConfig

pytestmark = pytest.mark.e2e


def test_the_face_is_found_and_its_points_lie_on_it(tmp_path, capsys):
    Image.fromarray(data.astronaut()).save(tmp_path / "portrait.png")
    torch.manual_seed(0)
    network = ExpressionNetwork(ExpressionNetworkConfig(size_px=32, channels=(4, 4, 8), features=16, hidden=(16, 8)))
    points = torch.from_numpy(np.stack([face_points(32, seed) for seed in range(20)]))
    network.fit(points, torch.rand(20, 51))
    (tmp_path / "model").mkdir()
    save_expression_network(network, tmp_path / "model")
    seal_model(tmp_path / "model", ArtifactKind.EXPRESSION_NETWORK, "expression")
    photo, model = str(tmp_path / "portrait.png"), str(tmp_path / "model")
    assert main(["expression", photo, "--model", model, "--json", "--device", "cpu"]) == 0
    (face,) = json.loads(capsys.readouterr().out)["photos"][0]["faces"]
    x, y, _ = np.array(face["points"]).mean(axis=0)
    left, top, right, bottom = face["box_xyxy"]
    assert left < x < right
    assert top < y < bottom
    assert 160 < x < 290
    assert 60 < y < 200
