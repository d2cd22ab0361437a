"""What a terminal or a pipe cannot show is no reason to fail after a result was saved."""

import io
import json
import sys

import pytest

from facediff_cli.reporting import RichProgress, emit, forgive_streams, print_error


def ascii_stream():
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


@pytest.mark.parametrize("name", ["é.jpg", "bad\udcff.jpg"])
def test_names_that_the_terminal_has_no_letters_for(monkeypatch, name):
    out, err = ascii_stream(), ascii_stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    forgive_streams()
    emit({"output": name}, True, lambda _console: None)
    assert json.loads(out.buffer.getvalue()) == {"output": name}
    emit({}, False, lambda console: console.print(name, markup=False))
    RichProgress(plain=True).note(name)
    print_error(name, 3, False)
    err.flush()
    assert b".jpg" in err.buffer.getvalue()


class Broken(io.StringIO):
    """A pipe that nobody reads any more, or a stream that was closed."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, _text):
        raise self.error

    def flush(self):
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "x"), OSError(5, "x"), ValueError("I/O operation on closed file.")]
)
def test_streams_that_are_closed(monkeypatch, error):
    monkeypatch.setattr(sys, "stdout", Broken(error))
    monkeypatch.setattr(sys, "stderr", Broken(error))
    forgive_streams()
    for as_json in (True, False):
        emit({"output": "a"}, as_json, lambda console: console.print("a"))
    RichProgress(plain=True).note("a")
    with RichProgress(plain=True).task("files", 1) as task:
        task.advance()
    print_error("a", 3, True)


def test_other_errors_are_not_hidden():
    def render(_console):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        emit({}, False, render)


def test_streams_that_do_not_exist(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    forgive_streams()
    emit({"output": "a"}, True, lambda _console: None)
    print_error("a", 3, True)
    for stream in (sys.stdout, sys.stderr):
        stream.close()
