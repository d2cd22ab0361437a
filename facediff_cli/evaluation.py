"""What the commands of ``facediff eval`` share: their options, their settings, and how they show a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.options import as_settings
from facediff_cli.reporting import emit
from facediff_cli.stage_command import role_of, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from stages.common.manifest import Artifact
    from stages.evaluate.config import MetricsConfig

DataOption = Annotated[
    Path, typer.Option("--data", "-d", metavar="DIR", help="The folder that `shard` or `preprocess` wrote.")
]
SplitOption = Annotated[str | None, typer.Option("--split", help="Which part of the data (train, val, test).")]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="So many faces, always the same ones (default: all).")
]
MetricsOption = Annotated[
    str | None,
    typer.Option("--metrics", metavar="NAME,...", help="Which metrics; `auto` takes what this machine can measure."),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the table as CSV on stdout.")]
LatexOption = Annotated[bool, typer.Option("--latex", help="Print the table as LaTeX (booktabs) on stdout.")]


def resolve_evaluation(
    config_type: type[Any],
    section: str,
    config: str | None,
    settings: Sequence[str] | None,
    given: Mapping[str, Any],
) -> MetricsConfig:
    """Preset or file, then ``--set``, then the command's own options; and ``auto`` metrics become what is here."""
    from stages.common.config import resolve_config
    from stages.evaluate.registry import settle_metrics

    resolved: MetricsConfig = resolve_config(config_type, section, config, [*(settings or ()), *as_settings(given)])
    return settle_metrics(resolved)


def metric_names(metrics: str | None) -> list[str] | None:
    """``--metrics`` as a list."""
    return [name.strip() for name in metrics.split(",")] if metrics else None


def load_data(path: Path) -> dict[str, Artifact]:
    """Shards or faces in their role."""
    from stages.common.manifest import load_artifact
    from stages.evaluate.faces import DATA_ROLES

    artifact = load_artifact(path)
    return {role_of(artifact, DATA_ROLES): artifact}


def table_shower(as_json: bool, as_csv: bool, as_latex: bool) -> Callable[[Artifact, bool], None]:
    """How ``run_stage`` shows an evaluation. Raises ``ConfigError`` for two formats at once."""
    from stages.common.errors import ConfigError

    if as_json + as_csv + as_latex > 1:
        raise ConfigError("--json, --csv and --latex exclude one another")

    def show(artifact: Artifact, up_to_date: bool) -> None:
        from dataclasses import asdict

        from facediff_cli.tables import print_table, to_csv, to_latex
        from stages.common.table import read_table

        table = read_table(artifact)
        payload = {
            "up_to_date": up_to_date,
            **summarize(artifact.manifest),
            "out": str(artifact.root),
            "table": asdict(table),
        }

        def render(console: Console) -> None:
            if as_csv or as_latex:
                console.print((to_csv if as_csv else to_latex)(table), markup=False, end="")
            else:
                print_table(console, table)

        emit(payload, as_json, render)

    return show
