"""Evaluations as one HTML page that needs nothing beside it: tables, plots, pictures, lineage, environment."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import yaml

from facediff_cli.ancestry import build_tree
from facediff_cli.report.plots import Point, Series, line_plot
from facediff_cli.tables import best_values, format_mean, format_spread, row_labels

if TYPE_CHECKING:
    from stages.common.manifest import Artifact
    from stages.common.table import Column, Row, Table

GENERATOR = '<meta name="generator" content="facediff report">'
_QUALITIES = ("psnr", "lpips", "squeezenet")
_ACCURACIES = ("accuracy_hsemotion", "accuracy_fer2013", "accuracy_own")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 76em; margin: 2em auto; padding: 0 1em; color: #222; }
h2 { margin-top: 2.2em; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .7em; text-align: right; white-space: nowrap; }
th { border-bottom: 1px solid #888; } td.label, th.label { text-align: left; }
tr.published td { color: #667; background: #f6f6f8; } td.best { font-weight: bold; }
small { color: #667; } svg { width: 30em; max-width: 100%; } svg text { font: 11px system-ui, sans-serif; fill: #333; }
img { max-width: 100%; image-rendering: auto; } code { font-size: .85em; } .wide { overflow-x: auto; }
"""


def render_page(evaluations: Sequence[Artifact], title: str, *, faces: bool = True) -> str:
    """The whole page, with or without the pictures of faces; equal evaluations give equal bytes."""
    sections = "\n".join(_section(artifact, faces) for artifact in evaluations)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{GENERATOR}\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{sections}\n</body>\n</html>\n"
    )


def _section(artifact: Artifact, faces: bool) -> str:
    from stages.common.table import read_table

    table = read_table(artifact)
    manifest = artifact.manifest
    parts = [
        f"<section>\n<h2>{escape(table.title)}: {escape(artifact.root.name)}</h2>",
        _html_table(table, manifest.stage.name),
        *(f"<p><small>{escape(name)}: missing: {escape(why)}</small></p>" for name, why in table.missing.items()),
        *(f"<p><small>{escape(note)}</small></p>" for note in table.notes),
        *_plots(table),
        *(_examples(artifact) if faces else ()),
        _details("Settings", f"<pre>{escape(yaml.safe_dump(dict(manifest.config), sort_keys=False))}</pre>"),
        _details("Made from", f"<ul>{_lineage(build_tree(artifact))}</ul>"),
        _details("Environment", _pairs({**manifest.environment, **_run(artifact)})),
    ]
    return "\n".join([*parts, "</section>"])


def _html_table(table: Table, stage: str) -> str:
    """The evaluation's rows, and the thesis's below them, under the union of their columns."""
    from stages.evaluate.published import published_metrics, published_rows, published_source
    from stages.evaluate.table import columns_of

    own = {column.name for column in table.columns}
    columns = [*table.columns, *columns_of([name for name in published_metrics(stage) if name not in own])]
    arrows = {"higher": " ↑", "lower": " ↓", None: ""}
    head = [f'<th class="label">{escape(key)}</th>' for key in table.keys] + ["<th>samples</th>"]
    head += [f"<th>{escape(c.title)}{arrows[c.better]}</th>" for c in columns]
    lines = [f"<tr>{''.join(head)}</tr>"]
    best = best_values(table)
    for number, row in enumerate(table.rows):
        labels = [f'<td class="label">{escape(label)}</td>' for label in row_labels(table, row)]
        lines.append(_line(labels, row, columns, {name for n, name in best if n == number}))
    published = published_rows(stage)
    if published:
        width = len(table.keys) + 1 + len(columns)
        lines.append(f'<tr class="published"><td class="label" colspan="{width}">{published_source(stage)}</td></tr>')
    for row in published:
        label = f'<td class="label" colspan="{len(table.keys)}">{escape(str(row.labels["published"]))}</td>'
        lines.append(_line([label], row, columns, set()).replace("<tr>", '<tr class="published">', 1))
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _line(labels: Sequence[str], row: Row, columns: Sequence[Column], best: set[str]) -> str:
    cells = [*labels, f"<td>{row.samples:,}</td>"]
    for column in columns:
        kind = ' class="best"' if column.name in best else ""
        spread = format_spread(row, column)
        mean = format_mean(row, column)
        cells.append(f"<td{kind}>{escape(mean)}<small>{escape(spread.removeprefix(mean))}</small></td>")
    return f"<tr>{''.join(cells)}</tr>"


def _plots(table: Table) -> list[str]:
    """Accuracy over picture quality, for the first expert that there is: what an edit gains and what it costs."""
    names = {column.name: column.title for column in table.columns}
    accuracy = next((name for name in _ACCURACIES if name in names), None)
    if accuracy is None:
        return []
    plots = []
    for quality in (name for name in _QUALITIES if name in names):
        series = _trade_off(table, quality, accuracy)
        if series:
            plots.append(line_plot(series, names[quality], names[accuracy]))
    return plots


def _trade_off(table: Table, quality: str, accuracy: str) -> list[Series]:
    """Rows of the mean over targets where there is one: a line for each strength and steps, along the guidance scale;
    or a point for each system.
    """
    from stages.common.table import MEAN

    rows = [row for row in table.rows if {quality, accuracy} <= row.values.keys()]
    rows = [row for row in rows if row.labels.get("target") == MEAN] or rows
    lines: dict[str, list[Point]] = {}
    for row in rows:
        label = row.labels
        if "guidance" in label:
            name, mark = f"t0 {label['strength']}, {label['steps']} steps", f"g {label['guidance']:g}"
        else:
            name, mark = str(label["system"]), ""
        lines.setdefault(name, []).append(Point(row.values[quality].mean, row.values[accuracy].mean, mark))
    return [Series(name, tuple(points)) for name, points in lines.items()]


def _examples(artifact: Artifact) -> list[str]:
    figures = []
    for output in artifact.manifest.outputs:
        if output.path.startswith("examples/"):
            content = base64.b64encode(artifact.path(output.path).read_bytes()).decode()
            name = escape(output.path.removeprefix("examples/").removesuffix(".png"))
            figures.append(
                f'<figure><img alt="{name}" src="data:image/png;base64,{content}">'
                f"<figcaption><small>{name}: sources, then edits in the table's order</small></figcaption></figure>"
            )
    return figures


def _lineage(node: Mapping[str, Any]) -> str:
    role = f"{escape(node['role'])}: " if "role" in node else ""
    stage = f" by {escape(node['stage'])}" if node.get("stage") not in {None, "source"} else ""
    children = "".join(_lineage(child) for child in node["inputs"])
    below = f"<ul>{children}</ul>" if children else ""
    return f"<li>{role}{escape(node['kind'])} <code>{escape(node['id'][:16])}</code>{stage}{below}</li>"


def _run(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    dirty = " (with changes)" if manifest.code.dirty else ""
    return {
        "facediff": manifest.code.version,
        "commit": f"{manifest.code.commit}{dirty}" if manifest.code.commit else "-",
        "artifact": manifest.artifact_id,
        "seed": manifest.seed,
        "samples": f"{manifest.counts.ok} of {manifest.counts.total}",
        **manifest.metrics,
    }


def _pairs(values: Mapping[str, Any]) -> str:
    rows = (
        f'<tr><td class="label">{escape(k)}</td><td class="label">{escape(str(v))}</td></tr>' for k, v in values.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _details(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>{content}</details>"
