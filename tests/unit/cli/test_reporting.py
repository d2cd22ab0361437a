import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from facediff_cli import reporting
from facediff_cli.reporting import RichProgress, emit, format_duration, format_fields, format_size, print_error


def test_json_goes_to_stdout_alone(capsys):
    emit({"faces": 2, "name": "é"}, True, lambda _console: pytest.fail("rendered for people"))
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"faces": 2, "name": "é"}
    assert captured.err == ""


def test_people_get_what_the_command_renders(capsys):
    emit({"faces": 2}, False, lambda console: console.print("two faces"))
    assert capsys.readouterr().out == "two faces\n"


def test_an_error_is_one_line_whatever_the_message(capsys):
    print_error("first\n  second", 3, as_json=False)
    captured = capsys.readouterr()
    assert captured.err == "facediff: first second\n"
    assert captured.out == ""


def test_an_error_with_json_is_an_object_too(capsys):
    print_error("no face", 3, as_json=True)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": "no face", "exit_code": 3}
    assert captured.err == "facediff: no face\n"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_closed_pipe_is_quiet(as_json):
    script = (
        "from facediff_cli.reporting import emit\n"
        f"for _ in range(3): emit({{'x': 'y' * 200000}}, {as_json}, lambda c: c.print('z' * 200000))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_plain_progress_says_a_line_now_and_then(capsys, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(reporting.time, "monotonic", lambda: float(next(clock)))
    progress = RichProgress(plain=True)
    progress.note("taking dlib")
    with progress.task("faces", total=20, done=10) as task:
        for number in range(10):
            task.advance(rejected=number)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "taking dlib"
    assert lines[1].startswith("faces: 13/20, ")
    assert lines[1].endswith("left, rejected 2")
    assert lines[-1].startswith("faces: 20/20, ")
    assert 3 <= len(lines) <= 6


def test_a_total_that_nobody_knows_is_not_shown(capsys):
    with RichProgress(plain=True).task("fetch", total=None) as task:
        task.advance(7)
    assert capsys.readouterr().err.startswith("fetch: 7, ")
    bars = RichProgress(plain=False)
    bars._console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with bars.task("fetch", total=None) as task:
        task.advance(7)
    assert "7/?" in bars._console.file.getvalue()


def test_plain_progress_does_not_claim_an_end_that_was_not_reached(capsys):
    progress = RichProgress(plain=True)
    with pytest.raises(RuntimeError), progress.task("faces", total=3):
        raise RuntimeError
    assert capsys.readouterr().err == ""


def test_bars_show_count_rate_and_fields():
    progress = RichProgress(plain=False)
    progress._console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with progress.task("faces", total=3, done=1) as task, progress.task("inner", total=1) as inner:
        task.advance(2, loss=0.12345)
        inner.advance()
    shown = progress._console.file.getvalue()
    assert "3/3" in shown
    assert "loss 0.1235" in shown


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (33554432, "32.0 MiB"), (2**41, "2.0 TiB")],
)
def test_sizes(count, text):
    assert format_size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3723, "1:02:03")])
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_fields():
    assert (
        format_fields({"loss": 0.123456, "rejected": 3, "detector": "dlib"}) == "loss 0.1235 rejected 3 detector dlib"
    )
