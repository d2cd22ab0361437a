import errno
import subprocess
import sys

import pytest

from facediff_cli import options
from facediff_cli.commands import doctor
from stages.common import errors, weights


def raising(monkeypatch, error):
    """Make one harmless command raise."""

    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr("facediff_cli.health.run_checks", fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("bad setting"), 2),
        (errors.BadInputError("bad photo"), 3),
        (errors.ResumeConflictError("something else there"), 4),
        (errors.TooManyRejectedError("too many"), 5),
        (errors.MissingModelError("no model"), 6),
        (errors.Interrupted("stopped"), 130),
    ],
)
def test_every_facediff_error_has_its_exit_code_and_one_line(facediff, monkeypatch, error, code):
    raising(monkeypatch, error)
    result = facediff("doctor")
    assert result.exit_code == code
    assert result.stderr == f"facediff: {error.what}\n"
    assert result.stdout == ""


def test_an_error_with_json_keeps_what_and_hint(facediff, monkeypatch):
    raising(monkeypatch, errors.BadInputError("no face in a.jpg", "Try another photo"))
    result = facediff("doctor", "--json")
    assert result.payload == {"error": "no face in a.jpg. Try another photo", "exit_code": 3}


def test_ctrl_c_is_130(facediff, monkeypatch):
    raising(monkeypatch, KeyboardInterrupt())
    assert facediff("doctor").exit_code == 130


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "permission denied")])
def test_a_disk_that_cannot_be_written_is_bad_input(facediff, monkeypatch, number, words):
    raising(monkeypatch, OSError(number, "whatever the system says", "/some/file"))
    result = facediff("doctor")
    assert (result.exit_code, result.stderr) == (3, f"facediff: {words} (/some/file)\n")


def test_an_optional_package_that_is_missing_is_named_with_what_brings_it(facediff, monkeypatch):
    raising(monkeypatch, ModuleNotFoundError("No module named 'piq'", name="piq"))
    result = facediff("doctor")
    assert (result.exit_code, result.stderr) == (6, "facediff: this needs the package piq. Install facediff[eval]\n")


def test_a_module_that_no_extra_brings_is_a_bug(facediff, monkeypatch):
    raising(monkeypatch, ModuleNotFoundError("No module named 'stages.nothing'", name="stages.nothing"))
    with pytest.raises(ModuleNotFoundError):
        facediff("doctor")


def test_a_bug_keeps_its_traceback(facediff, monkeypatch):
    raising(monkeypatch, ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        facediff("doctor")
    raising(monkeypatch, OSError(errno.EBADF, "bug"))
    with pytest.raises(OSError, match="bug"):
        facediff("doctor")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shardd"], "No such command 'shardd'"),
        (["shard", "x", "--jsn"], "No such option: --jsn"),
        (["shard", "x"], "Missing option '--out'"),
        (["train", "vqgan", "--data", "x", "--out", "y", "--device", "tpu"], "Invalid value for '--device'"),
        (["train", "vqgan", "--data", "x", "--out", "y", "--seed", "-1"], "Invalid value for '--seed'"),
    ],
)
def test_usage_errors_are_one_line_and_2(facediff, arguments, message):
    result = facediff(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "--help'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_usage_error_with_json(facediff):
    assert facediff("shard", "--json").payload["exit_code"] == 2


def test_version(facediff):
    result = facediff("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("facediff ")


def test_no_arguments_show_the_help(facediff):
    assert "Usage: facediff" in facediff().stdout


def test_completion_scripts_are_offered():
    done = subprocess.run(
        [sys.executable, "-m", "facediff_cli"],
        env={"_FACEDIFF_COMPLETE": "source_bash", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "complete -o default -F _facediff_completion facediff" in done.stdout


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from facediff_cli.main import main; main(['--help']); main(['edit', '--help']);"
        "heavy = {'torch', 'diffusers', 'cv2', 'numpy', 'PIL', 'dlib', 'skimage', 'yaml', 'stages'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_doctor_leaves_with_6_when_edit_cannot_work(facediff, monkeypatch):
    from facediff_cli.health import Check

    checks = [
        Check("libraries", True, "all import", required=True),
        Check("detector dlib", False, "absent", "install it"),
    ]
    monkeypatch.setattr("facediff_cli.health.run_checks", lambda: checks)
    result = facediff("doctor")
    assert result.exit_code == 6
    assert "install it" in result.stdout
    assert doctor.doctor.__doc__


def test_doctor_says_that_edit_can_work(facediff, monkeypatch):
    from facediff_cli.health import Check

    checks = [
        Check("model facediff-mini", True, "verified", required=True),
        Check("detector dlib", True, "dlib"),
        Check("detector FAN", False, "absent", "fetch it"),
    ]
    monkeypatch.setattr("facediff_cli.health.run_checks", lambda: checks)
    result = facediff("doctor", "--json")
    assert result.exit_code == 0
    assert result.payload["can_edit"] is True
    assert result.payload["checks"][2] == {
        "name": "detector FAN",
        "ok": False,
        "found": "absent",
        "remedy": "fetch it",
        "required": False,
    }


def test_the_default_model_is_one():
    assert options.DEFAULT_MODEL == weights.DEFAULT_MODEL
