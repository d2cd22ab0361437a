"""``kill -9`` in the middle of ``facediff train`` costs at most the steps since the last checkpoint."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from facediff_cli.main import main

pytestmark = pytest.mark.e2e

DIE_WHILE_SAVING = """
import os, signal, sys
from stages.common.training.checkpoints import Checkpoints
save = Checkpoints.save
def save_or_die(self, step, state):
    if step == 3:
        (self.folder / "step-000000003.tmp").write_bytes(b"half a checkpoint")
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, step, state)
Checkpoints.save = save_or_die
from facediff_cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_killed_while_saving_and_resumed_it_is_the_same_artifact(training_of, tmp_path, capsys):
    training = training_of("ldm")
    arguments = ["train", "ldm", "--config", "tiny", "--device", "cpu", "--out", str(tmp_path / "out")]
    arguments += ["--data", str(training.inputs["data"].root)]
    arguments += ["--first-stage", str(training.inputs["first_stage"].root)]
    # The same number of threads on both sides: sums are added in the same order.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.run(
        [sys.executable, "-c", DIE_WHILE_SAVING, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.partial" / ".run" / "work" / "checkpoints" / "step-000000002.json").is_file()
    assert main(arguments) == 4
    assert "Add --resume" in capsys.readouterr().err
    assert main([*arguments, "--resume", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["artifact_id"] == training.reference.manifest.artifact_id
