"""``facediff run`` on a recipe that begins with clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.videos import hum, portrait, write_video

from facediff_cli.main import main
from stages.common.manifest import load_artifact

pytestmark = pytest.mark.e2e

RECIPE = """
config: tiny
steps:
  clips: {stage: clips, settings: [detector=dlib, size_px=32, min_s=0.2]}
  vqgan: {stage: vqgan, inputs: {clips: clips}}
  talk: {stage: talk_training, inputs: {data: clips, first_stage: vqgan}}
  reader: {stage: lipreader, inputs: {data: clips}}
  tuned: {stage: finetune_lipread, inputs: {data: clips, model: talk, reader: reader}}
"""


def test_clips_become_a_talker_that_was_tuned_by_a_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for number, split in enumerate(("train", "train", "val")):
        options = ["-c:v", "mpeg1video", "-q:v", "2", "-c:a", "mp2"]
        write_video(tmp_path / f"clips/{number}.mpg", portrait(8, 108 + number), hum(0.36), options=options)
        rows.append(f"{number}.mpg,bin blue,{split}\n")
    (tmp_path / "clips/said.csv").write_text("path,text,split\n" + "".join(rows))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE + f"clips: {{transcripts: {tmp_path / 'clips/said.csv'}}}\n")
    out = tmp_path / "runs"
    command = ["run", str(recipe), "--clips", str(tmp_path / "clips"), "--out", str(out), "--device", "cpu", "--json"]
    assert main([*command, "-j", "1"]) == 0
    done = json.loads(capsys.readouterr().out)["steps"]
    assert [step["status"] for step in done] == ["done"] * 5
    assert load_artifact(out / "tuned").manifest.artifact_id == done[-1]["artifact_id"]
    assert main([*command, "-j", "1"]) == 0
    again = json.loads(capsys.readouterr().out)["steps"]
    assert [step["status"] for step in again] == ["up to date"] * 5


def test_a_recipe_of_clips_needs_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "mead-128", "--out", str(tmp_path)]) == 2
    assert "--clips" in capsys.readouterr().err
