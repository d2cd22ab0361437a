"""Talkers on disk."""

from pathlib import Path

import pytest
import torch

from stages.common.checkpoint import load_schedule_config
from stages.common.errors import MissingModelError
from stages.common.talker_checkpoint import TalkerInfo, load_talker, load_talker_info, save_talker
from stages.models.schedule import ScheduleConfig
from stages.models.talker import Talker, TalkerConfig, build_talker

CONFIG = TalkerConfig(
    latent_size=8,
    latent_channels=2,
    block_out_channels=(8, 16),
    attention_levels=(False, True),
    layers_per_block=1,
    norm_num_groups=4,
    audio="mel",
    window=1,
    landmarks=True,
    context_in_blocks=True,
)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Talker, Path]:
    torch.manual_seed(0)
    talker = build_talker(CONFIG)
    torch.nn.init.normal_(talker.conditioning["null"].vector)
    save_talker(talker, ScheduleConfig(prediction_type="v_prediction"), TalkerInfo(fps=30), tmp_path)
    return talker, tmp_path


def test_a_talker_comes_back_as_it_was(saved: tuple[Talker, Path]) -> None:
    talker, root = saved
    again = load_talker(root)
    assert again.config == CONFIG
    assert not again.training
    state = talker.state_dict()
    assert set(state) == set(again.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    assert load_talker_info(root).fps == 30
    assert load_schedule_config(root).prediction_type == "v_prediction"


@pytest.mark.parametrize("name", ["talker.json", "conditioning.safetensors", "unet/config.json"])
def test_a_missing_part_is_named(saved: tuple[Talker, Path], name: str) -> None:
    (saved[1] / name).unlink()
    with pytest.raises(MissingModelError, match=name.split("/", maxsplit=1)[0]):
        load_talker(saved[1])
