"""What one edit costs, and whether editing a face into the expression it has gives it back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.editing import Case, Edited, edit_cases, prepare_cases
from benchmarks.tables import print_table
from stages.common.errors import FacediffError
from stages.common.face.detect import load_detector
from stages.edit.config import EditConfig
from stages.edit.run import FaceEditor
from stages.evaluate.statistics import psnr_db

GOAL_WALL_S, GOAL_RSS_GIB = 30.0, 3.0
GOAL_RECONSTRUCTION_DB, GOAL_PHOTO_DB = 30.0, 40.0


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of a command: wall seconds, and the largest resident set in GiB."""

    wall_s: float
    peak_gib: float


# A child's peak starts at that of the process it is forked from, so a small process stands between it and this one.
_WATCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
wall_s = time.perf_counter() - started
print(json.dumps([os.waitstatus_to_exitcode(status), wall_s, usage.ru_maxrss]))
"""


def measure_cost(command: Sequence[str]) -> Cost:
    """Run a command to its end. Raises ``FacediffError`` with its last line of stderr when it fails."""
    watched = subprocess.run(
        [sys.executable, "-S", "-c", _WATCHER, *command], capture_output=True, text=True, check=True
    )
    exit_code, wall_s, peak = json.loads(watched.stdout)
    if exit_code:
        raise FacediffError(f"{command[0]} left with {exit_code}: {watched.stderr.strip().rpartition(chr(10))[2]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall_s, peak * unit / 2**30)


def measure_edit_command(model: str, source: Path, out: Path, *options: str) -> Cost:
    """``facediff edit --emotion happy`` as a user starts it."""
    command = [sys.executable, "-c", "from facediff_cli.main import main; main()", "edit", "--emotion", "happy"]
    return measure_cost([*command, "--model", model, *options, str(source), "--out", str(out)])


def measure_edit(model: str, photo: Path, runs: int = 3) -> dict[str, Any]:
    """Medians over runs of ``facediff edit --emotion happy`` as a user starts it."""
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{run}.png" for run in range(runs)]
        costs = [measure_edit_command(model, photo, out) for out in outs]
    return {
        "runs": runs,
        "wall_s": float(np.median([cost.wall_s for cost in costs])),
        "peak_gib": float(np.median([cost.peak_gib for cost in costs])),
    }


def measure_round_trip(editor: FaceEditor, root: Path, paths: Sequence[str], steps: int = 40) -> dict[str, Any]:
    """PSNRs when the target is the source and guidance is 1: of the crop to its reconstruction, of the photo to itself.

    The photo's is taken over the face's mask alone, which is stricter than over the whole photo.
    """
    cases = prepare_cases(root, paths, editor, load_detector("dlib"))
    config = EditConfig(emotion="neutral", guidance=1.0, steps=steps)
    edits = list(edit_cases(editor, cases, [case.source for case in cases], config))
    crops = [psnr_db(edit.edited, edit.reconstruction, 2.0) for edit in edits]
    photos = [_face_psnr_db(case, edit) for case, edit in zip(cases, edits, strict=True)]
    return {
        "photos": len(cases),
        "steps": steps,
        "reconstruction_db": {"median": float(np.median(crops)), "least": min(crops)},
        "photo_db": {"median": float(np.median(photos)), "least": min(photos)},
    }


def print_edit(cost: dict[str, Any] | None, round_trip: dict[str, Any] | None) -> None:
    rows = []
    if cost:
        rows += [
            [
                f"`facediff edit`, one photo, {os.cpu_count()} cores",
                f"{cost['wall_s']:.1f} s",
                f"< {GOAL_WALL_S:.0f} s",
            ],
            ["largest resident memory", f"{cost['peak_gib']:.2f} GiB", f"< {GOAL_RSS_GIB:.0f} GiB"],
        ]
    if round_trip:
        for key, name, goal in (
            ("reconstruction_db", "same label, guidance 1: crop to its reconstruction", GOAL_RECONSTRUCTION_DB),
            ("photo_db", "same label, guidance 1: face in the photo (delta)", GOAL_PHOTO_DB),
        ):
            least = round_trip[key]["least"]
            rows.append([name, f"{round_trip[key]['median']:.1f} dB (least {least:.1f})", f">= {goal:.0f} dB"])
    print_table("One edit (medians)", ["what", "measured", "goal"], rows)


def _face_psnr_db(case: Case, edit: Edited) -> float:
    return psnr_db(case.rgb[case.inside_HW], edit.rgb[case.inside_HW])
