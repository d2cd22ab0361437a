"""``facediff talk``: a face that says what is heard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.commands.edit import DetectorOption
from facediff_cli.commands.synthesize import Sampler
from facediff_cli.options import (
    Detector,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    ModelOption,
    SeedOption,
    SetOption,
)
from facediff_cli.reporting import RichProgress, emit
from facediff_cli.stage_command import resolve_device

if TYPE_CHECKING:
    from rich.console import Console

    from stages.common.manifest import Artifact
    from stages.talk.config import TalkConfig
    from stages.talk.run import TalkResult

DEFAULT_TALKER = "facediff-talk-mini"


def talk(
    face: Annotated[Path, typer.Option("--face", metavar="IMAGE|VIDEO", help="Who talks: a photo, or a video to dub.")],
    audio: Annotated[
        Path, typer.Option("--audio", metavar="SOUND|VIDEO", help="What is said: a sound file, or a video's sound.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="VIDEO", help="The video to write: MP4, MOV, MKV, WebM.")],
    emotion: Annotated[
        str | None, typer.Option("--emotion", "-e", help="With this expression, if the model has learned any.")
    ] = None,
    model: ModelOption = DEFAULT_TALKER,
    steps: Annotated[int, typer.Option("--steps", min=1, max=999, help="Sampling steps of each frame.")] = 8,
    sampler: Annotated[
        Sampler, typer.Option("--sampler", help="ddpm is ancestral; dpmpp-2m and unipc need the fewest steps.")
    ] = Sampler.DDIM,
    guidance: Annotated[
        float,
        typer.Option("--guidance", min=0, max=50, help="How hard sound and emotion push; 1 does not."),
    ] = 1.0,
    detector: DetectorOption = Detector.DLIB,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
    settings: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let the face in a photo or a video say what is heard: its mouth is made anew, frame after frame.

    The result lasts as long as the sound. A longer video is cut, a shorter one is played forth and back. Of several
    people the one with the largest face talks; frames without a face are passed through and counted.

    **Examples**

    * `facediff talk --face speaker.mp4 --audio translated.wav --out dubbed.mp4`

    * `facediff talk --face portrait.jpg --audio hello.mp3 --out hello.mp4`

    * `facediff talk --face a.mov --audio b.mp4 --out c.mp4 --emotion happy --model runs/talk --guidance 2`

    * `facediff talk --face long.mp4 --audio speech.wav --out out.mp4 --set anchor_every=25 --dry-run`
    """
    from stages.common.config import resolve_config
    from stages.common.errors import BadInputError, ConfigError
    from stages.common.outputs import require_free
    from stages.common.talker_checkpoint import load_talker_config
    from stages.common.video_writer import WRITABLE_SUFFIXES
    from stages.common.writable import check_writable
    from stages.talk.config import TalkConfig
    from stages.talk.run import check_emotion

    if out.suffix.lower() not in WRITABLE_SUFFIXES:
        raise ConfigError(f"--out {out} must end in {', '.join(WRITABLE_SUFFIXES)}")
    for option, path in (("--face", face), ("--audio", audio)):
        if not path.exists():
            raise BadInputError(f"{option} {path} does not exist", reason="missing")
    require_free(out, [face, audio])
    fields: dict[str, Any] = {"steps": steps, "sampler": sampler.value, "guidance": guidance, "seed": seed}
    given = [f"{name}={value}" for name, value in fields.items()] + ([f"emotion={emotion}"] if emotion else [])
    config = resolve_config(TalkConfig, "talk", None, [*given, *(settings or ())])
    check_writable(out, create=not dry_run)
    artifact = load_talker_artifact(model)
    check_emotion(load_talker_config(artifact.root), config, artifact.root.name)
    if dry_run:
        _show_plan(face, audio, out, artifact, config, as_json)
        return
    _show(
        out, artifact, _run(face, audio, out, artifact, config, device=device.value, detector=detector.value), as_json
    )


def load_talker_artifact(name_or_dir: str) -> Artifact:
    """A checked talking-face model. Raises ``MissingModelError``, also for a model of another kind."""
    from stages.common.errors import MissingModelError
    from stages.common.manifest import ArtifactKind
    from stages.common.weights import resolve_model

    artifact = resolve_model(name_or_dir)
    if artifact.manifest.kind is not ArtifactKind.TALKER:
        raise MissingModelError(
            f"{name_or_dir} holds {artifact.manifest.kind.value}, which cannot talk", "Give what `train talk` wrote"
        )
    return artifact


def _run(
    face: Path, audio: Path, out: Path, artifact: Artifact, config: TalkConfig, *, device: str, detector: str
) -> TalkResult:
    from stages.common.face.detect import load_detector
    from stages.common.talking import load_talking_model
    from stages.talk.run import talk

    resolved, progress = resolve_device(device), RichProgress()
    result = talk(
        face,
        audio,
        out,
        model=load_talking_model(artifact.root, resolved),
        detector=load_detector(Detector(detector).value, resolved),
        config=config,
        progress=progress,
    )
    for note in result.notes:
        progress.note(f"{face}: {note}")
    return result


def _show(out: Path, artifact: Artifact, result: TalkResult, as_json: bool) -> None:
    payload = {
        "output": str(out),
        "model": artifact.root.name,
        "artifact_id": artifact.manifest.artifact_id,
        **result.as_json(),
        "notes": result.notes,
    }

    def render(console: Console) -> None:
        counts = result.counts
        console.print(
            f"{out}  ({counts.frames} frames at {float(result.rate_hz):.4g}/s, {counts.edited} with a mouth made anew, "
            f"{result.silent} in silence)",
            markup=False,
        )

    emit(payload, as_json, render)


def _show_plan(face: Path, audio: Path, out: Path, artifact: Artifact, config: TalkConfig, as_json: bool) -> None:
    payload = {
        "dry_run": True,
        "model": artifact.root.name,
        "artifact_id": artifact.manifest.artifact_id,
        "config": config.model_dump(mode="json"),
        "planned": [{"face": str(face), "audio": str(audio), "output": str(out)}],
    }

    def render(console: Console) -> None:
        console.print(f"{face} says {audio} -> {out}  (model {artifact.root.name})", markup=False)

    emit(payload, as_json, render)
