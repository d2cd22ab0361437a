import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from facediff_cli.stage_command import resolve_device, run_stage, stop_on_signal
from stages.common.engine import execute
from stages.common.errors import ConfigError, Interrupted, ResumeConflictError


def run(toy, config=None, **options):
    run_stage(toy.spec, config or toy.config, toy.inputs, toy.out, **options)


def test_a_run_prints_counts_reasons_metrics_and_id(toy, capsys):
    run(toy)
    shown = capsys.readouterr().out
    artifact_id = json.loads((toy.out / "manifest.json").read_bytes())["artifact_id"]
    for part in (f"faces  {toy.out}", "3 of 4", "no_face", "kept", artifact_id):
        assert part in shown
    assert "up to date" not in shown


def test_a_run_with_json(toy, capsys):
    run(toy, as_json=True)
    payload = json.loads(capsys.readouterr().out)
    assert payload["up_to_date"] is False
    assert payload["counts"] == {"total": 4, "ok": 3, "rejected_by_reason": {"no_face": 1}}
    assert (payload["kind"], payload["out"], payload["files"]) == ("faces", str(toy.out), 3)


def test_the_second_run_is_up_to_date(toy, capsys):
    run(toy)
    capsys.readouterr()
    run(toy)
    assert "(up to date)" in capsys.readouterr().out


def test_a_dry_run_writes_nothing_and_shows_the_settings(toy, capsys):
    before = sorted(toy.out.parent.iterdir())
    with pytest.raises(typer.Exit) as caught:
        run(toy, dry_run=True)
    assert caught.value.exit_code == 0
    assert sorted(toy.out.parent.iterdir()) == before
    shown = capsys.readouterr().out
    assert f"toy  {toy.out}: new" in shown
    assert "level: 1" in shown


def test_a_dry_run_with_json(toy, capsys):
    with pytest.raises(typer.Exit):
        run(toy, dry_run=True, as_json=True)
    payload = json.loads(capsys.readouterr().out)
    assert payload["status"] == "new"
    assert payload["config"] == {"files": 3, "text": "x", "inner": {"level": 1}}


def test_a_dry_run_leaves_with_4_where_the_run_would(toy, capsys):
    run(toy)
    with pytest.raises(typer.Exit) as caught:
        run(toy, toy.spec.config_type(text="y"), dry_run=True)
    assert caught.value.exit_code == 4
    assert "config.text is 'x', wanted 'y'" in capsys.readouterr().out


def test_an_unfinished_run_needs_resume(toy, capsys):
    with pytest.raises(Interrupted):
        execute(toy.spec, toy.config, toy.inputs, toy.out, should_stop=lambda: True)
    with pytest.raises(ResumeConflictError):
        run(toy, resume=False)
    run(toy, resume=True)
    assert "continuing an unfinished run" in capsys.readouterr().err


def test_here_is_a_folder_like_any_other(toy, tmp_path, monkeypatch, capsys):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(typer.Exit):
        run_stage(toy.spec, toy.config, toy.inputs, Path(), dry_run=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["out"] == str(here)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_aborts(number):
    notes = []
    before = signal.getsignal(number)
    with stop_on_signal(notes.append) as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), number)
        assert should_stop()
        assert len(notes) == 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_ctrl_c_lets_the_stage_save_and_the_same_command_continue(toy):
    def interrupted(config, inputs, context):
        os.kill(os.getpid(), signal.SIGINT)
        return toy.spec.run(config, inputs, context)

    with pytest.raises(Interrupted):
        run_stage(replace(toy.spec, run=interrupted), toy.config, toy.inputs, toy.out)
    run(toy)
    assert (toy.out / "manifest.json").is_file()


def test_devices(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert (resolve_device("cpu"), resolve_device("auto")) == ("cpu", "cpu")
    with pytest.raises(ConfigError, match="no CUDA device"):
        resolve_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert (resolve_device("auto"), resolve_device("cuda")) == ("cuda", "cuda")
