"""The grid of strengths by guidance scales, by real networks of no skill."""

import numpy as np
import pytest
import torch
from PIL import Image
from support.fake_editor import FakeDetector
from support.tiny_model import train_tiny_model

from stages.common.editor import load_editor
from stages.common.errors import ConfigError
from stages.edit.config import make_edit_config
from stages.edit.photo import load_photo
from stages.edit.run import edit_photo, spread
from stages.edit.sweep import Sweep, cell_configs, parse_sweep, sweep_photo


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    return load_editor(train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model").root)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(5).integers(40, 200, (150, 220, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return load_photo(tmp_path / "in.png")


@pytest.mark.parametrize("guided", ["back", "both"])
def test_every_cell_is_the_edit_with_its_settings(editor, photo, guided):
    config = make_edit_config((f"guided={guided}",), emotion="happy", source="neutral", steps=3)
    sweep = Sweep((300, 600), (1.0, 4.0))
    grid, record = sweep_photo(photo, editor, FakeDetector(), config, sweep)
    assert record["sweep"] == {"strengths": [300, 600], "guidances": [1.0, 4.0]}
    for i, row in enumerate(cell_configs(config, sweep)):
        for j, cell in enumerate(row):
            top, left = 24 + 36 * i, 72 + 36 * (j + 1)
            expected = edit_photo(photo, editor, FakeDetector(), cell).faces[0].edited_SSC.astype(int)
            # A row is one batch, in which sums are added in another order.
            assert np.abs(grid[top : top + 32, left : left + 32] - expected).max() <= 1
    assert (grid[:24, :72] == 255).all()
    assert (grid[24:, :72] < 128).any()


def test_a_sweep_that_cannot_be_is_named():
    assert parse_sweep("400,500", "1,2.5") == Sweep((400, 500), (1.0, 2.5))
    with pytest.raises(ConfigError, match="numbers with commas"):
        parse_sweep("400;500", "1")
    with pytest.raises(ConfigError, match="--strength"):
        cell_configs(make_edit_config(emotion="happy"), Sweep((4000,), (1,)))
    with pytest.raises(ConfigError, match="one face"):
        cell_configs(make_edit_config(emotion="happy", face="all"), Sweep())


def test_the_way_back_is_kept_where_it_is_asked_for(editor, photo):
    config = make_edit_config(emotion="happy", source="neutral", steps=20, progressive=True)
    (face,) = edit_photo(photo, editor, FakeDetector(), config).faces
    assert len(face.way_back) == 10
    first, last = (np.abs(face.way_back[i].astype(int) - face.edited_SSC).mean() for i in (0, -1))
    assert last < first
    plain = edit_photo(photo, editor, FakeDetector(), config.model_copy(update={"progressive": False})).faces[0]
    assert plain.way_back == ()
    assert np.array_equal(plain.edited_SSC, face.edited_SSC)


def test_kept_pictures_are_spread_from_the_first_to_the_last():
    assert [int(x) for x in spread([torch.tensor(i) for i in range(37)])] == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert len(spread([torch.tensor(0)])) == 1
    assert spread([]) == []


def test_mixtures_and_amounts_reach_the_model(editor, photo):
    def edited(**fields):
        config = make_edit_config(**{"emotion": "happy", "source": "neutral", "steps": 3, **fields})
        return edit_photo(photo, editor, FakeDetector(), config).faces[0].edited_SSC

    assert np.array_equal(edited(emotion="happy:2"), edited())
    assert np.array_equal(edited(amount=0, guidance=3), edited(emotion="neutral", guidance=3))
    results = [edited(), edited(amount=1.5), edited(emotion="happy,sad"), edited(emotion="sad")]
    assert all(not np.array_equal(a, b) for i, a in enumerate(results) for b in results[:i])


def test_a_classifier_takes_no_mixture():
    for fields in ({"emotion": "happy,sad"}, {"amount": 0.5}):
        with pytest.raises(ConfigError, match="one emotion alone"):
            make_edit_config(**{"emotion": "happy", "classifier_scale": 1.0, **fields})
