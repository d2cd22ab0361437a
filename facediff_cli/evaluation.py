"""What the commands of ``facediff eval`` share: their options, their settings, and how they show a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facediff_cli.options import ConfigOption, Device, DeviceOption, DryRunOption, JsonOption, SetOption, as_settings
from facediff_cli.reporting import emit
from facediff_cli.stage_command import role_of, run_stage, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from stages.common.manifest import Artifact
    from stages.common.stage import StageSpec

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


@dataclass(frozen=True)
class EvaluationOptions:
    """What is to be measured, and how the table is to be shown. Raises ``ConfigError`` for two formats at once."""

    metrics: MetricsOption = None
    config: ConfigOption = None
    settings: SetOption = None
    device: DeviceOption = Device.AUTO
    dry_run: DryRunOption = False
    as_json: JsonOption = False
    as_csv: CsvOption = False
    as_latex: LatexOption = False

    def __post_init__(self) -> None:
        from stages.common.errors import ConfigError

        if self.as_json + self.as_csv + self.as_latex > 1:
            raise ConfigError("--json, --csv and --latex exclude one another")


def resolve_evaluation(spec: StageSpec[Any], how: EvaluationOptions, given: Mapping[str, Any]) -> Any:
    """Preset or file, then ``--set``, then the command's own options; and ``auto`` metrics become what is here."""
    from stages.common.config import resolve_config
    from stages.evaluate.registry import settle_metrics

    options = as_settings({**given, "metrics": _names(how.metrics)})
    return settle_metrics(resolve_config(spec.config_type, spec.name, how.config, [*(how.settings or ()), *options]))


def evaluate(
    spec: StageSpec[Any], config: Any, inputs: Mapping[str, Artifact], out: Path, how: EvaluationOptions, seed: int = 0
) -> None:
    """Run an evaluation and show its table."""
    run_stage(
        spec,
        config,
        inputs,
        out,
        seed=seed,
        device=how.device.value,
        dry_run=how.dry_run,
        as_json=how.as_json,
        show=_shower(how),
    )


def _names(metrics: str | None) -> list[str] | None:
    return [name.strip() for name in metrics.split(",")] if metrics else None


def load_data(path: Path) -> dict[str, Artifact]:
    """Shards or faces in their role."""
    from stages.common.manifest import load_artifact
    from stages.evaluate.faces import DATA_ROLES

    artifact = load_artifact(path)
    return {role_of(artifact, DATA_ROLES): artifact}


def _shower(how: EvaluationOptions) -> Callable[[Artifact, bool], None]:
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
            if how.as_csv or how.as_latex:
                console.print((to_csv if how.as_csv else to_latex)(table), markup=False, end="")
            else:
                print_table(console, table)

        emit(payload, how.as_json, render)

    return show
