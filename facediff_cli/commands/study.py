"""``facediff study``: ask people how real pictures look and what they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facediff_cli.evaluation import CsvOption, LatexOption
from facediff_cli.options import ConfigOption, DryRunOption, JsonOption, OutFolderOption, SeedOption, SetOption
from facediff_cli.reporting import RichProgress, emit
from facediff_cli.stage_command import load_input, run_stage, stop_on_signal

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer()

StudyArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `study make` wrote.")]


@app.command()
def make(
    source: Annotated[Path, typer.Option("--source", metavar="DIR", help="A folder of unedited pictures.")],
    systems: Annotated[
        list[str],
        typer.Option(
            "--system",
            metavar="NAME=DIR[:EMOTION]",
            help="What a system made of them, under the same names. Without EMOTION: one folder for each (repeatable).",
        ),
    ],
    out: OutFolderOption,
    forms: Annotated[
        int | None, typer.Option("--forms", min=1, help="Different questionnaires; balanced together. Default: 24.")
    ] = None,
    realism: Annotated[
        int | None, typer.Option("--realism", min=0, help="Pairs that a participant compares. Default: 28.")
    ] = None,
    emotions: Annotated[
        int | None, typer.Option("--emotions", min=0, help="Faces whose emotion a participant names. Default: 30.")
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a page that asks people which of two pictures looks more real, and which emotion a face shows.

    Participants need only OUT/page, which does not tell which system made what; OUT/key.json does.

    **Examples**

    * `facediff study make --source photos --system ours=edits --system other=theirs --out study`

    * `facediff study make --source photos --system ours=happy:happy --emotions 0 --realism 20 --out study`
    """
    from stages.common.config import resolve_config
    from stages.common.folders import parse_system, read_pictures
    from stages.study.config import StudyConfig
    from stages.study.pictures import SOURCE
    from stages.study.run import study_spec

    parsed = [parse_system(text, "--system") for text in systems]
    spec = study_spec([system.name for system in parsed])
    counts = {"forms": forms, "realism": realism, "emotions": emotions}
    overrides = [*(settings or ()), *(f"{name}={count}" for name, count in counts.items() if count is not None)]
    targets = {system.name: system.target for system in parsed}
    resolved = resolve_config(StudyConfig, spec.name, config, [*overrides, f"targets={json.dumps(targets)}"])
    inputs = {SOURCE: read_pictures(source), **{system.name: read_pictures(system.root) for system in parsed}}
    run_stage(spec, resolved, inputs, out, seed=seed, dry_run=dry_run, as_json=as_json)


@app.command()
def serve(
    study: StudyArgument,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8765,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where answers go, one file a participant.")
    ] = Path("answers"),
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Serve a study's page to this machine only, and keep the answers, until Ctrl-C.

    Whoever opens the address gets the form that the fewest have had.

    **Examples**

    * `facediff study serve study --out answers`
    """
    from stages.study.server import HOST, StudyServer

    artifact = load_input(study, "study")
    if dry_run:
        payload = {"study": str(artifact.root), "host": HOST, "port": port, "out": str(out), "dry_run": True}
        emit(payload, as_json, lambda console: console.print(f"would serve {artifact.root} to {HOST}", markup=False))
        return
    progress = RichProgress()
    with StudyServer(artifact, out, port) as server, stop_on_signal(lambda _message: None) as should_stop:
        progress.note(f"{server.url} (Ctrl-C stops); answers go to {out}")
        server.serve_until(should_stop)
        count = server.desk.count()
    emit(
        {"out": str(out), "participants": count},
        as_json,
        lambda console: console.print(f"{out}: answers of {count} participant(s)", markup=False),
    )


@app.command()
def analyse(
    study: StudyArgument,
    answers: Annotated[list[Path], typer.Argument(metavar="ANSWERS...", help="Files, or folders of them.")],
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    as_latex: LatexOption = False,
) -> None:
    """Say how often each system was preferred, with binomial tests, and how often emotions were recognised.

    Participants who failed the attention checks are left out, and counted.

    **Examples**

    * `facediff study analyse study answers`

    * `facediff study analyse study answers --latex`
    """
    from dataclasses import asdict

    from facediff_cli.tables import print_table, to_csv, to_latex
    from stages.common.errors import ConfigError
    from stages.study.analyse import analyse as analyse_answers
    from stages.study.answers import read_answers
    from stages.study.key import load_key

    if as_json + as_csv + as_latex > 1:
        raise ConfigError("--json, --csv and --latex exclude one another")
    key = load_key(load_input(study, "study").root)
    analysis = analyse_answers(key, read_answers(answers, key))

    def render(console: Console) -> None:
        for number, table in enumerate(analysis.tables):
            if number:
                console.print()
            if as_csv or as_latex:
                console.print((to_csv if as_csv else to_latex)(table), markup=False, end="")
            else:
                print_table(console, table)

    payload = {
        "study": key.study,
        "participants": analysis.participants.model_dump(mode="json"),
        "tables": [asdict(table) for table in analysis.tables],
    }
    emit(payload, as_json, render)
