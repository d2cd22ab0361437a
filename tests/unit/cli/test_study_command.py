"""``facediff study`` from the command line."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from support.study import answer_form, write_systems

from stages.study.key import Comparison, load_key


@pytest.fixture
def folders(tmp_path):
    return write_systems(tmp_path)


@pytest.fixture
def arguments(folders):
    return (
        "study", "make", "--source", folders / "source", "--system", f"ours={folders / 'ours'}",
        "--system", f"other={folders / 'other'}", "--forms", 2, "--realism", 3, "--emotions", 2,
    )  # fmt: skip


@pytest.fixture
def study(facediff, arguments, folders):
    result = facediff(*arguments, "--out", folders / "study", "--json")
    assert result.exit_code == 0, result.stderr
    return folders / "study"


def test_make_and_its_dry_run(facediff, arguments, folders):
    dry = facediff(*arguments, "--out", folders / "study", "--set", "checks=1", "--dry-run", "--json")
    assert dry.payload["config"]["targets"] == {"ours": None, "other": None}
    assert not (folders / "study").exists()
    made = facediff(*arguments, "--out", folders / "study", "--set", "checks=1", "--json").payload
    assert made["metrics"]["questions_per_form"] == 7
    assert made["run_key"] == dry.payload["run_key"]
    assert facediff(*arguments, "--out", folders / "study", "--seed", 1).exit_code == 4


def test_make_refuses_in_one_line(facediff, arguments, folders):
    (folders / "other/sad/b.jpg").unlink()
    result = facediff(*arguments, "--out", folders / "study")
    assert result.exit_code == 3
    assert "other (sad): 1 of 3 sources have no edited picture (b)" in result.stderr
    assert facediff(*arguments, "--system", "ours", "--out", folders / "study").exit_code == 2
    assert facediff(*arguments, "--system", "source=x", "--out", folders / "study").exit_code == 2
    assert not (folders / "study").exists()


def test_analyse_in_all_formats(facediff, study, tmp_path):
    key = load_key(study)
    answers = tmp_path / "answers"
    answers.mkdir()
    for form in range(2):
        content = answer_form(key, form, lambda q: "left" if isinstance(q, Comparison) else "sad", participant=form)
        (answers / f"{form}.json").write_bytes(content)
    careless = answer_form(key, 0, lambda q: "left" if isinstance(q, Comparison) else "sad", 9, failed_checks=4)
    (answers / "careless.json").write_bytes(careless)
    command = ("study", "analyse", study, answers)
    payload = facediff(*command, "--json").payload
    assert payload["participants"] == {"total": 3, "ok": 2, "rejected_by_reason": {"failed_attention_checks": 1}}
    assert [table["title"] for table in payload["tables"]] == ["Realism", "Emotions"]
    assert sum(row["samples"] for row in payload["tables"][0]["rows"]) == 6
    shown = facediff(*command).stdout
    assert "preferred ↑" in shown
    assert "p (binomial)  " in shown, "a p-value is neither better high nor low"
    assert "What a participant calls them" in shown
    realism, emotions = facediff(*command, "--csv").stdout.split("\n\n")
    assert len(list(csv.DictReader(io.StringIO(realism)))) == len(payload["tables"][0]["rows"])
    assert "accuracy_low" in emotions
    assert facediff(*command, "--latex").stdout.count(r"\toprule") == 2
    assert facediff(*command, "--latex", "--csv").exit_code == 2


def test_analyse_refuses_in_one_line(facediff, study, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    for wrong in (tmp_path / "x.json", tmp_path / "absent.json", tmp_path / "source"):
        result = facediff("study", "analyse", study, wrong)
        assert result.exit_code == 3
        assert len(result.stderr.splitlines()) == 1
    (study / "key.json").write_text("{}")
    assert "is not the key of a study" in facediff("study", "analyse", study, tmp_path).stderr


def test_serve_says_what_it_would_do(facediff, study, tmp_path):
    assert facediff("study", "serve", study, "--out", tmp_path / "a", "--dry-run", "--json").payload == {
        "study": str(study), "host": "127.0.0.1", "port": 8765, "out": str(tmp_path / "a"), "dry_run": True,
    }  # fmt: skip
    assert not (tmp_path / "a").exists()


def test_ctrl_c_ends_serving_well(study, tmp_path):
    command = [sys.executable, "-m", "facediff_cli", "study", "serve", str(study), "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "answers")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    guard = threading.Timer(60, process.kill)
    guard.start()
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    guard.cancel()
    assert line.startswith("http://127.0.0.1:")
    assert (process.returncode, stderr) == (0, "")
    assert json.loads(stdout) == {"out": str(tmp_path / "answers"), "participants": 0}
