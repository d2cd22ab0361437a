"""Two processes (gloo, on the CPU) take the steps that one takes, and leave one artifact."""

import json
import os
import subprocess
import sys

import pytest
from support.talking import make_clips
from support.tiny_model import tiny_config
from support.tiny_talker import write_tiny_talker

from facediff_cli.main import main
from stages.common.engine import execute
from stages.common.manifest import load_artifact
from stages.finetune_lipread.run import FINETUNE_LIPREAD
from stages.lipreader.run import LIPREADER

pytestmark = pytest.mark.e2e

SETTINGS = {
    "ldm": ["loop.validate_every=1", "loop.learning_rate=1e-3", "ema_decay=0.1"],
    "vqgan": ["loop.validate_every=1", "adversarial_start=null", "codebook_start=0", "revive_every=2"],
}


def run_on(processes, arguments):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run(
        [*launch, "-m", "facediff_cli.main", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_processes_wait_for_one_another_longer_than_any_data_set_takes(tmp_path):
    script = tmp_path / "wait.py"
    script.write_text(
        "import torch.distributed as dist\n"
        "from stages.common.processes import join_processes, leader_first\n"
        "with leader_first('cpu'):\n"
        "    pass\n"
        "group = dist.distributed_c10d._get_default_group()\n"
        "print('waits', group._get_backend(join_processes('cpu').device).options._timeout.days, flush=True)\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    here = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    done = subprocess.run(launch, env=here, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("waits 365") == 2


def test_all_weights_of_a_talker_are_tuned_on_two_processes_as_on_one(tmp_path):
    clips = make_clips(tmp_path / "clips")
    reader = execute(LIPREADER, tiny_config(LIPREADER), {"data": clips}, tmp_path / "reader")
    talker = write_tiny_talker(tmp_path / "talker")
    settings = ["loop.validate_every=1", "loop.learning_rate=1e-4"]
    inputs = {"data": clips, "model": load_artifact(talker), "reader": reader}
    single = execute(
        FINETUNE_LIPREAD, tiny_config(FINETUNE_LIPREAD, "lora=null", *settings), inputs, tmp_path / "single"
    )
    arguments = ["finetune", "lipread", "--full", "--config", "tiny", "--device", "cpu", "--tracker", "none"]
    arguments += [part for setting in settings for part in ("--set", setting)]
    arguments += ["--data", str(clips.root), "--model", str(talker), "--reader", str(reader.root)]
    done = run_on(2, [*arguments, "--out", str(tmp_path / "both")])
    assert done.returncode == 0, done.stderr
    curves = [json.loads((root / "history.json").read_text()) for root in (single.root, tmp_path / "both")]
    for alone, together in zip(*curves, strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("stage", SETTINGS)
def test_the_loss_curve_is_that_of_one_process_with_the_same_batch(stage, training_of, tmp_path):
    training = training_of(stage)
    single = training.run(tmp_path / "single", *SETTINGS[stage])
    arguments = ["train", stage, "--config", "tiny", "--device", "cpu", "--tracker", "none", "--json"]
    arguments += [part for setting in SETTINGS[stage] for part in ("--set", setting)]
    for role, artifact in training.inputs.items():
        arguments += [f"--{role.replace('_', '-')}", str(artifact.root)]
    done = run_on(2, [*arguments, "--out", str(tmp_path / "both")])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["out"] == str(tmp_path / "both")
    curves = [json.loads((root / "history.json").read_text()) for root in (single.root, tmp_path / "both")]
    for alone, together in zip(*curves, strict=True):
        assert together == pytest.approx(alone, rel=1e-5, abs=1e-5)
    assert main(["manifest", "verify", str(tmp_path / "both")]) == 0


def test_what_the_leader_refuses_all_refuse(training_of, tmp_path):
    training = training_of("ldm")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "something").write_text("else")
    arguments = ["train", "ldm", "--config", "tiny", "--device", "cpu", "--tracker", "none"]
    arguments += ["--data", str(training.inputs["data"].root), "--out", str(tmp_path / "out")]
    done = run_on(2, arguments)
    assert done.returncode != 0
    assert "exitcode  : 4" in done.stderr
    assert "--out" in done.stderr
