"""Which metrics an evaluation takes, and what it says of the others."""

import pytest

from stages.common.errors import ConfigError, MissingModelError
from stages.common.experts import EXPERTS
from stages.evaluate.config import EditGridConfig, FoldersConfig, GenerationConfig, ReconstructionConfig
from stages.evaluate.registry import METRICS, settle_metrics

CONFIGS = (ReconstructionConfig, EditGridConfig, FoldersConfig, GenerationConfig)


def test_auto_takes_stand_ins_under_their_own_names(squeezenet):
    settled = settle_metrics(ReconstructionConfig())
    assert settled.metrics == ("l1", "squeezenet", "psnr", "ssim", "rfd_squeezenet")
    assert set(settled.missing) == {"lpips", "rfid"}
    assert "alexnet" in settled.missing["lpips"]
    assert settle_metrics(settled) == settled


def test_auto_without_any_network_leaves_stand_ins_out(no_weights):
    assert settle_metrics(ReconstructionConfig()).metrics == ("l1", "psnr", "ssim")
    with pytest.raises(MissingModelError, match="nothing can be measured here: weights-inception"):
        settle_metrics(GenerationConfig())


def test_a_metric_by_name_must_be_there(no_weights):
    with pytest.raises(
        MissingModelError, match=r"rfid cannot be measured: weights-inception.*`facediff models fetch inc"
    ):
        settle_metrics(ReconstructionConfig(metrics=("psnr", "rfid")))
    assert settle_metrics(ReconstructionConfig(metrics=("psnr",))).metrics == ("psnr",)


def test_a_metric_of_another_evaluation_is_a_wrong_setting():
    with pytest.raises(ConfigError, match="unknown metric 'fid'"):
        settle_metrics(ReconstructionConfig(metrics=("fid",)))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_measurable_metric_is_described(config):
    assert set(config.measurable) <= METRICS.keys()


def test_experts_say_which_metrics_need_them():
    used_for = {(name, expert) for expert, e in EXPERTS.items() for name in e.used_for.split(", ")}
    needed = {(name, metric.expert) for name, metric in METRICS.items() if metric.expert}
    assert used_for - needed == {
        ("finetune clip --identity arcface", "ir-se50"),
        ("preprocess --expression", "face-landmarker"),
    }
    assert needed <= used_for


def test_a_wrong_file_is_as_good_as_none(squeezenet, tmp_path):
    folder = tmp_path / "home" / "weights"
    folder.mkdir()
    (folder / EXPERTS["inception"].file_name).write_bytes(b"half of it")
    settled = settle_metrics(ReconstructionConfig())
    assert "rfd_squeezenet" in settled.metrics
    assert "and should have SHA-256 6726825d" in settled.missing["rfid"]
