"""The page of a study in a real browser, by keyboard alone, at the size of a phone."""

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts
from support.study import write_systems

from facediff_cli.main import main
from stages.common.manifest import load_artifact
from stages.study.answers import parse_answers
from stages.study.key import SIDES, Comparison, SideCheck, load_key
from stages.study.server import StudyServer

DRIVER = Path(__file__).resolve().parents[1] / "support" / "browser.py"
FORM = 1
PHONE_PX = (375, 667)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        importlib.util.find_spec("PySide6") is None or importlib.util.find_spec("PySide6.QtWebEngineWidgets") is None,
        reason="no browser: install facediff[browser]",
    ),
]


@pytest.fixture
def study(tmp_path):
    write_systems(tmp_path)
    command = ["study", "make", "--source", f"{tmp_path / 'source'}", "--out", f"{tmp_path / 'study'}"]
    systems = [f"--system={name}={tmp_path / name}" for name in ("ours", "other")]
    assert main([*command, *systems, "--forms", "2", "--realism", "3", "--emotions", "2"]) == 0
    return load_artifact(tmp_path / "study")


@pytest.fixture
def plan(study):
    """The choices of an attentive participant, and the keys that make them."""
    words = json.loads(study.path("page/study.js").read_text()[len("const STUDY = ") : -2])["forms"][FORM]["words"]
    choices, keys = [], []
    for number, question in enumerate(load_key(study.root).forms[FORM]):
        sides = isinstance(question, Comparison | SideCheck)
        choice = getattr(question, "expected", None) or (SIDES[number % 2] if sides else words[number % len(words)])
        choices.append(choice)
        keys.append(choice.capitalize() if sides else str(words.index(choice) + 1))
    return choices, keys


def browse(url, keys, folder):
    folder.mkdir()
    command = [sys.executable, str(DRIVER), url, json.dumps(["Space", "Tab", "Return", *keys])]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["complaints"] == []
    return shown["seen"]


def check_looks(seen, questions):
    width_px, height_px = PHONE_PX
    assert all(state["size"][0] <= width_px for state in seen), "nothing to scroll sideways"
    intro, ticked, ready, *asked, end = seen
    assert (intro["focused"], ticked["focused"], ready["focused"]) == ("agreed", "agreed", "Start")
    assert ready["outline"] == "4px", "the focus can be seen"
    for number, state in enumerate(asked[:questions], start=1):
        assert state["focused"] == "heading", "a screen reader reads the question"
        assert f"{number} of {questions}" in state["text"]
        assert state["size"][1] <= height_px, "a question fits on a phone"
        assert all(state["pictures"])
        assert min(state["buttons"]) >= 44
    return end


def test_a_served_study_by_keyboard(study, plan, tmp_path):
    choices, keys = plan
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
    stop = threading.Event()
    try:
        with StudyServer(study, tmp_path / "answers", 0) as server:
            thread = threading.Thread(target=server.serve_until, args=(stop.is_set,))
            thread.start()
            seen = browse(f"{server.url}index.html?form={FORM}", keys, tmp_path / "shots")
            stop.set()
            thread.join()
    finally:
        stop.set()
        disable_socket(allow_unix_socket=True)
    end = check_looks(seen, len(choices))
    assert "Your answers were received" in end["text"]
    (kept,) = (tmp_path / "answers").iterdir()
    answers = parse_answers(kept.read_bytes(), load_key(study.root), kept)
    assert (answers.form, [answer.choice for answer in answers.answers]) == (FORM, choices)
    assert main(["study", "analyse", str(study.root), str(tmp_path / "answers")]) == 0


def test_a_page_that_is_opened_as_a_file_saves_the_answers(study, plan, tmp_path):
    choices, keys = plan
    url = f"{(study.root / 'page' / 'index.html').as_uri()}?form={FORM}"
    seen = browse(url, [*keys, "Return"], tmp_path / "shots")
    check_looks(seen, len(choices))
    assert seen[-1]["focused"] == "Save answers"
    (saved,) = (tmp_path / "shots").glob("answers-*.json")
    answers = parse_answers(saved.read_bytes(), load_key(study.root), saved)
    assert [answer.choice for answer in answers.answers] == choices
