"""What an exception on one file comes to."""

import pytest

from stages.common.containment import BUG, OUT_OF_MEMORY, as_bad_input, concerns_all, logs_folder, note_bugs
from stages.common.errors import BadInputError, ConfigError, Interrupted, MissingModelError


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path))


def test_a_bug_is_named_and_its_traceback_kept():
    try:
        _ = {}["nose"]
    except KeyError as error:
        bad = as_bad_input(error, "a.jpg")
    assert bad.reason == BUG
    (log,) = logs_folder().iterdir()
    assert str(log) in str(bad)
    assert "a.jpg" in str(bad)
    assert "KeyError: 'nose'" in str(bad)
    assert 'in test_a_bug_is_named_and_its_traceback_kept\n    _ = {}["nose"]' in log.read_text()


def test_no_log_hides_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "file"))
    assert "could not be written" in str(as_bad_input(RuntimeError("x"), "a.jpg"))


def test_what_is_no_bug(tmp_path):
    known = BadInputError("a.jpg is empty", reason="empty")
    assert as_bad_input(known, "a.jpg") is known
    assert as_bad_input(MemoryError(), "a.jpg").reason == OUT_OF_MEMORY
    full = as_bad_input(OSError(28, "No space left on device", "/out/a.jpg"), "a.jpg")
    assert (full.reason, str(full)) == ("unreadable", "a.jpg: No space left on device (/out/a.jpg)")
    assert not logs_folder().exists()


def test_what_concerns_all_files():
    assert concerns_all(ConfigError("x"))
    assert concerns_all(MissingModelError("x"))
    assert concerns_all(Interrupted("x"))
    assert not concerns_all(BadInputError("x"))
    assert not concerns_all(RuntimeError("x"))


def test_bugs_among_many_samples_are_said_once():
    said = []
    note_bugs(["ok", BUG, BUG, "no face"], "photos", said.append)
    note_bugs(["ok", "no face"], "photos", said.append)
    assert len(said) == 1
    assert said[0].startswith("2 photos met a bug")
