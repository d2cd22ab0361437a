"""``python -m benchmarks [SECTION]``: each section prints tables, or says which data it lacks."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stages.common.errors import ConfigError, FacediffError
from stages.common.weights import DEFAULT_MODEL, resolve_model

_VIDEO_STEPS = 2
"""Few, since memory does not depend on them."""
_EPILOG = """\
Labelled photos: --photos is the folder that the paths in --labels (columns path, emotion, identity, split, grey) start
from. Environment: FACEDIFF_DATA and FACEDIFF_LABELS stand for them; labels.csv in the photos' folder is the default.

  python -m benchmarks judge --model runs/ldm --split val --limit 40 --guidance 2 3 4 --emotion happy sad --fast
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that the command line names. Returns the exit code of ``facediff`` for the same error."""
    options = _parse(arguments)
    sections: dict[str, Callable[[argparse.Namespace], Any]] = {
        "preprocess": _preprocess,
        "edit": _edit,
        "throughput": _throughput,
        "training": _training,
        "inversion": _inversion,
        "judge": _judge,
        "talk": _talk,
        "expression": _expression,
    }
    results: dict[str, Any] = {}
    exit_code = 0
    for name in sections if options.section == "all" else [options.section]:
        try:
            results[name] = sections[name](options)
        except FacediffError as error:
            print(f"\n{name}: skipped: {error}" if options.section == "all" else f"{name}: {error}", file=sys.stderr)
            exit_code = 0 if options.section == "all" else error.exit_code
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return exit_code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "section",
        nargs="?",
        choices=["all", "judge", "preprocess", "edit", "throughput", "inversion", "training", "talk", "expression"],
        default="all",
    )
    add("--model", default=DEFAULT_MODEL, help="a model's name or folder (default: %(default)s)")
    add("--photos", type=Path, default=_environment_path("FACEDIFF_DATA"), help="root of the labelled photos")
    add("--labels", type=Path, default=_environment_path("FACEDIFF_LABELS"), help="their table")
    add("--faces", type=Path, default=_environment_path("FACEDIFF_FACES"), help="inversion: what `preprocess` wrote")
    add("--split", choices=["test", "val"], default="test", help="tune on val only (default: %(default)s)")
    add("--limit", type=int, default=100, help="neutral photos to edit (default: %(default)s)")
    add("--emotion", nargs="+", default=[], help="targets (default: all with a goal)")
    add("--guidance", nargs="+", type=float, default=[], help="one judgement each (default: the model's own)")
    add("--steps", type=int, help="default: what the model recommends; 40 for round trips")
    add("--strength", type=int, help="default: what the model recommends; 500 for inversion")
    add("--blend", choices=["warp", "delta", "paste"], default="warp")
    add("--source", default="auto", help="label of the unedited faces (default: the classifier's)")
    add("--fast", action="store_true", help="judge: no identity, no real photos")
    add("--device", default="cpu")
    add("--runs", type=int, default=3, help="edit: how often the command is timed (default: %(default)s)")
    add("--count", type=int, default=512, help="preprocess: how many photos (default: %(default)s)")
    add("--workers", type=int, help="preprocess: the most workers (default: the cores)")
    add("--seconds", nargs="+", type=int, default=[30, 1800], help="throughput: lengths of videos (default: 30 1800)")
    add("--shards", type=Path, help="training, expression: what `facediff shard` wrote")
    add("--batch", type=int, default=4, help="training: samples a step (default: %(default)s)")
    add(
        "--clips", type=Path, default=_environment_path("FACEDIFF_CLIPS"), help="talk: what `preprocess` made of videos"
    )
    add("--videos", type=Path, help="talk: the root of those videos, to dub them from file to file")
    add("--talker", default="facediff-talk-mini", help="talk: a model's name or folder (default: %(default)s)")
    add("--frames", type=int, default=25, help="talk: frames of each clip in the table of steps (default: %(default)s)")
    add("--cut", type=int, help="talk: take only so many frames of each clip (default: all)")
    add("--rounds", type=int, default=4, help="talk: how often a clip is played for drift (default: %(default)s)")
    add("--out", type=Path, help="talk: folder for the dubbed videos, for `facediff eval lipread --clips NAME=DIR`")
    add("--json", type=Path, metavar="FILE", help="also write all numbers there")
    add("--grid", type=Path, metavar="FILE.png", help="judge: also write the first edited faces there")
    return parser.parse_args(arguments)


def _environment_path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


def _data(options: argparse.Namespace) -> tuple[Path, Path]:
    """The photos' root and their table. Raises ``ConfigError`` when they are not there."""
    if options.photos is None:
        raise ConfigError("no labelled photos", "Give --photos and --labels, or set FACEDIFF_DATA and FACEDIFF_LABELS")
    labels = options.labels or options.photos / "labels.csv"
    for path in (options.photos, labels):
        if not path.exists():
            raise ConfigError(f"{path} does not exist", "Give --photos and --labels")
    return options.photos, labels


def _preprocess(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.photos import select_photos
    from benchmarks.preprocess import measure_preprocess, print_preprocess

    root, labels = _data(options)
    paths = [photo.path for photo in select_photos(labels, options.split, "neutral", options.count)]
    result = measure_preprocess(root, paths, options.workers)
    print_preprocess(result)
    return result


def _edit(options: argparse.Namespace) -> dict[str, Any]:
    from PIL import Image
    from skimage.data import astronaut

    from benchmarks.edit import measure_edit, measure_round_trip, print_edit
    from benchmarks.photos import select_photos
    from stages.common.editor import load_editor

    root = resolve_model(options.model).root
    with tempfile.TemporaryDirectory() as folder:
        portrait = Path(folder) / "astronaut.png"
        Image.fromarray(astronaut()).save(portrait)
        cost = measure_edit(str(root), portrait, options.runs)
        photos, paths = Path(folder), [portrait.name]
        try:
            photos, labels = _data(options)
            paths = [photo.path for photo in select_photos(labels, options.split, "neutral", min(options.limit, 20))]
        except ConfigError as error:
            print(f"round trip on one portrait only: {error.what}", file=sys.stderr)
        round_trip = measure_round_trip(load_editor(root, options.device), photos, paths, options.steps or 40)
    print_edit(cost, round_trip)
    return {"cost": cost, "round_trip": round_trip}


def _throughput(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.photos import select_photos
    from benchmarks.throughput import measure_batch, measure_video_memory, print_throughput

    model, batch = str(resolve_model(options.model).root), None
    try:
        root, labels = _data(options)
        photos = [photo.path for photo in select_photos(labels, options.split, "neutral", min(options.limit, 8))]
        batch = measure_batch(model, [root / path for path in photos], options.steps or 40)
    except ConfigError as error:
        print(f"photos are not timed: {error.what}", file=sys.stderr)
    videos = measure_video_memory(model, options.seconds, _VIDEO_STEPS)
    print_throughput(batch, videos)
    return {"batch": batch, "videos": videos}


def _training(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.memory import measure_finetuning, measure_memory, print_memory
    from benchmarks.training import measure_latents, measure_loader, measure_step, print_training

    loader = None
    if options.shards is None:
        print("the loader is not measured without --shards", file=sys.stderr)
    else:
        loader = measure_loader(options.shards, options.workers or os.cpu_count() or 1)
    latents = measure_latents()
    step = measure_step(options.device, options.batch, options.runs)
    print_training(step, loader, latents)
    print_memory([*measure_memory(), measure_finetuning()])
    return {"step": step, "loader": loader, "latents_per_s": latents}


def _inversion(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.inversion import load_faces, measure_inversion, print_inversion
    from stages.common.editor import load_editor
    from stages.common.manifest import ArtifactKind, load_artifact

    if options.faces is None:
        raise ConfigError("no aligned faces", "Give --faces, or set FACEDIFF_FACES")
    editor = load_editor(resolve_model(options.model).root, options.device)
    faces = load_artifact(options.faces, ArtifactKind.FACES)
    images = load_faces(faces, options.split, min(options.limit, 64), editor.size_px)
    result = measure_inversion(editor, images, options.strength or 500)
    print_inversion(result)
    return result


def _judge(options: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.judge import GOALS, Judge, JudgeSettings, print_judgement, write_grid
    from stages.common.editor import load_editor
    from stages.common.emotions import parse_emotion
    from stages.edit.config import make_edit_config

    root, labels = _data(options)
    editor = load_editor(resolve_model(options.model).root, options.device)
    settings = JudgeSettings(
        labels=labels,
        root=root,
        split=options.split,
        limit=options.limit,
        emotions=tuple(map(parse_emotion, options.emotion)) or tuple(GOALS),
        source=options.source,
        real_limit=0 if options.fast else 100,
        identity=not options.fast,
    )
    given = {"steps": options.steps, "strength": options.strength, "blend": options.blend}
    fields = {name: value for name, value in given.items() if value is not None}
    configs = [make_edit_config(emotion="neutral", guidance=g, **fields) for g in options.guidance or [None]]
    judge = Judge(editor, settings)
    if not judge.cases:
        raise ConfigError(f"no face in the {options.split} photos below {root}")
    results = []
    for config in configs:
        results.append(judge.run(config))
        print_judgement(results[-1])
        if options.grid:
            write_grid(judge, options.grid)
    return results


def _talk(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.talk import load_cases, measure_drift, measure_dubbing, measure_steps, print_talk
    from benchmarks.talk_videos import dub_videos, find_videos, print_videos
    from stages.common.clips import ClipDataset
    from stages.common.manifest import ArtifactKind, load_artifact
    from stages.common.talking import load_talking_model
    from stages.talk.config import TalkConfig

    if options.clips is None:
        raise ConfigError("no clips", "Give --clips, or set FACEDIFF_CLIPS")
    artifact = load_artifact(options.clips, ArtifactKind.CLIPS)
    model, config = load_talking_model(resolve_model(options.talker).root, options.device), TalkConfig()
    cases = load_cases(ClipDataset(artifact, options.split), model, options.limit)
    if options.cut:
        cases = [case.first(options.cut) for case in cases]
    dubbing = measure_dubbing(model, cases, config)
    steps = measure_steps(model, cases[: options.runs], config, options.frames)
    drift = measure_drift(model, cases[: options.runs], config, options.rounds)
    print_talk(dubbing, steps, drift)
    results: dict[str, Any] = {"dubbing": dubbing, "steps": steps, "drift": drift}
    if options.videos is None or options.out is None:
        print("whole videos are not dubbed without --videos and --out", file=sys.stderr)
        return results
    videos = find_videos(artifact, options.videos, options.split, options.limit)
    results["videos"] = dub_videos(model, videos, options.out, config)
    print_videos(results["videos"])
    return results


def _expression(options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.expression import measure_expression, print_expression

    if options.shards is None:
        raise ConfigError("no faces whose expression is known", "Give --shards")
    result = measure_expression(options.shards, resolve_model(options.model).root, options.split, options.device)
    print_expression(result)
    return result


if __name__ == "__main__":
    sys.exit(main())
