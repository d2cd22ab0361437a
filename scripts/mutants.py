"""Whether the tests notice when a line of the product is wrong: apply one-line edits to a copy and run their tests.

``tests/mutants.yaml`` lists the edits: the file, a text that occurs in it once, what takes its place, and the tests of
which one must then fail. Leaves with 1 and names them when mutants survive, and with 2 when an edit does not fit the
code any more or the tests fail without any.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "mutants.yaml"
_HEAVY = ("torch", "torchvision", "diffusers", "accelerate", "pytest", "webdataset", "pyarrow.parquet")
"""Imported once; each run of the tests is a fork that has them."""
_COPIED_BYTES = 1_000_000
_TESTS_FAILED = 1
_BROKEN = 70
_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old``, once in ``file``, becomes ``new``; ``tests`` are arguments of pytest, of which one must fail."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """The listed edits. Raises ``ValueError`` for one that does not fit the code."""
    mutants = [
        Mutant(row["what"], group["file"], row["old"], row["new"], tuple(row.get("tests") or group["tests"]))
        for group in yaml.safe_load(path.read_text())
        for row in group["mutants"]
    ]
    for mutant in mutants:
        found = (ROOT / mutant.file).read_text().count(mutant.old)
        if found != 1 or mutant.old == mutant.new:
            raise ValueError(f"{mutant.what}: {mutant.old!r} is {found} times in {mutant.file}, not once")
    return mutants


def copy_tree(folder: Path) -> Path:
    """A copy of what git knows or would add; large files are links to the real ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.stat().st_size > _COPIED_BYTES:
                target.symlink_to(source)
            else:
                shutil.copy2(source, target)
    return folder


def run_tests(copy: Path, tests: Sequence[str], *, may_fail: bool = True) -> int:
    """Pytest's exit code in a copy of the tree; its output is shown where it is none of those that may be."""
    with tempfile.TemporaryFile("w+b") as output:
        child = os.fork()
        if not child:
            _be_pytest(copy, tests, output.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == -signal.SIGALRM:
            return _TESTS_FAILED
        if code not in ({0, _TESTS_FAILED} if may_fail else {0}):
            output.seek(0)
            print(output.read()[-3000:].decode(errors="replace"), file=sys.stderr)
        return code


def _be_pytest(copy: Path, tests: Sequence[str], output: int) -> None:
    signal.alarm(_TIMEOUT_S)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(copy)
    sys.path[:0] = [str(copy)]
    os.environ["PYTHONPATH"] = str(copy)
    sys.dont_write_bytecode = True
    code = _BROKEN
    try:
        import pytest

        # Plugins were imported with what is heavy.
        quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:cacheprovider"]
        code = int(pytest.main(["-x", "-q", *quiet, *tests]))
        sys.stdout.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def judge(unchanged: Path, mutant: Mutant) -> bool:
    """Whether the tests notice, in a copy of the unchanged copy; one line says so."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = shutil.copytree(unchanged, Path(folder) / "tree", symlinks=True)
        (copy / mutant.file).write_text((copy / mutant.file).read_text().replace(mutant.old, mutant.new))
        code = run_tests(copy, mutant.tests)
    verdict = {0: "SURVIVED", _TESTS_FAILED: "killed"}.get(code, f"DID NOT RUN ({code})")
    print(f"{verdict:<9} {time.monotonic() - started:5.1f} s  {mutant.what}  [{mutant.file}]", flush=True)
    return code == _TESTS_FAILED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only mutants whose description or file holds one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time (one a core)")
    options = parser.parse_args()
    try:
        mutants = read_mutants()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    mutants = [m for m in mutants if not options.words or any(w in f"{m.what} {m.file}" for w in options.words)]
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in _HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        unchanged = copy_tree(Path(folder))
        if run_tests(unchanged, sorted({test for mutant in mutants for test in mutant.tests}), may_fail=False):
            print("the tests fail without any edit", file=sys.stderr)
            return 2
        with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
            killed = list(pool.imap_unordered(partial(judge, unchanged), mutants))
    print(f"{sum(killed)} of {len(mutants)} mutants killed, {len(killed) - sum(killed)} left")
    return 0 if all(killed) else 1


if __name__ == "__main__":
    sys.exit(main())
