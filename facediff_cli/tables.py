"""The table of an evaluation as text: for a terminal, as CSV, and as LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from stages.common.table import Column, Row, Table

_ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}
_LATEX_ARROWS = {"higher": r" $\uparrow$", "lower": r" $\downarrow$", None: ""}
_LATEX_SPECIAL = str.maketrans({**{c: f"\\{c}" for c in "&%$#_{}"}, "<": "$<$"})
_NOTHING = "-"


def print_table(console: Console, table: Table) -> None:
    """Means and half the width of their 95 % intervals, the best of comparable rows in bold; below, what is missing."""
    header = [*table.keys, "samples", *(f"{c.title}{_ARROWS[c.better]}" for c in table.columns)]
    body = [
        [*row_labels(table, row), str(row.samples), *(format_spread(row, c) for c in table.columns)]
        for row in table.rows
    ]
    best = best_values(table)
    bold = [[False] * (len(table.keys) + 1) + [(n, c.name) in best for c in table.columns] for n in range(len(body))]
    console.print(table.title, markup=False, style="bold")
    _print_columns(console, header, body, bold, left=len(table.keys))
    for expert in dict.fromkeys(name for row in table.rows for name in row.judged):
        _print_confusion(console, table, expert)
    for name, why in table.missing.items():
        console.print(f"{name}: missing: {why}", markup=False)
    for note in table.notes:
        console.print(note, markup=False)


def to_csv(table: Table) -> str:
    """One line a row; a mean is followed by the ends of its 95 % interval, empty where there is none."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [name for c in table.columns for name in (c.name, f"{c.name}_low", f"{c.name}_high")]
    writer.writerow([*table.keys, "samples", *columns])
    for row in table.rows:
        cells: list[Any] = [row.labels[key] for key in table.keys] + [row.samples]
        for column in table.columns:
            value = row.values.get(column.name)
            cells += [value.mean, *(value.interval_95 or ("", ""))] if value else ["", "", ""]
        writer.writerow(cells)
    return stream.getvalue()


def to_latex(table: Table) -> str:
    """A ``tabular`` for the package booktabs: arrows say which way is better, the best of comparable rows is bold."""
    best = best_values(table)
    titles = [f"{c.title.translate(_LATEX_SPECIAL)}{_LATEX_ARROWS[c.better]}" for c in table.columns]
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(table.keys)}{'r' * len(table.columns)}}}",
        r"\toprule",
        _latex_line([*(key.translate(_LATEX_SPECIAL) for key in table.keys), *titles]),
        r"\midrule",
    ]
    for number, row in enumerate(table.rows):
        means = {c.name: format_mean(row, c).translate(_LATEX_SPECIAL) for c in table.columns}
        values = [rf"\textbf{{{mean}}}" if (number, name) in best else mean for name, mean in means.items()]
        lines.append(_latex_line([*(label.translate(_LATEX_SPECIAL) for label in row_labels(table, row)), *values]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def best_values(table: Table) -> set[tuple[int, str]]:
    """(row number, column name) of the best values. Comparable are rows that agree in the table's last key: results of
    several systems or settings for one target; a row that stands alone has no best value.
    """
    found = set()
    for column in (c for c in table.columns if c.better):
        groups: dict[Any, list[int]] = {}
        for number, row in enumerate(table.rows):
            if column.name in row.values:
                groups.setdefault(row.labels[table.keys[-1]], []).append(number)
        sign = 1 if column.better == "higher" else -1
        for numbers in groups.values():
            if len(numbers) > 1:
                top = max(sign * table.rows[n].values[column.name].mean for n in numbers)
                found |= {(n, column.name) for n in numbers if sign * table.rows[n].values[column.name].mean == top}
    return found


def row_labels(table: Table, row: Row) -> list[str]:
    """A row's labels as text, in the order of the table's keys."""
    labels = [row.labels[key] for key in table.keys]
    return [_NOTHING if label is None else f"{label:g}" if isinstance(label, float) else str(label) for label in labels]


def format_mean(row: Row, column: Column) -> str:
    """The mean in the column's digits; a dash where the metric does not apply. A small p-value is not called zero."""
    value = row.values.get(column.name)
    if value is None:
        return _NOTHING
    least = 10**-column.digits
    if value.interval_95 is None and 0 < value.mean < least / 2:
        return f"<{least:.{column.digits}f}"
    return f"{value.mean:.{column.digits}f}"


def format_spread(row: Row, column: Column) -> str:
    """The mean, and half the width of its 95 % interval if it has one."""
    value = row.values.get(column.name)
    if value is None or value.interval_95 is None:
        return format_mean(row, column)
    low, high = value.interval_95
    return f"{value.mean:.{column.digits}f} ±{(high - low) / 2:.{column.digits}f}"


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _print_confusion(console: Console, table: Table, expert: str) -> None:
    from stages.common.emotions import EMOTIONS

    rows = [row for row in table.rows if expert in row.judged]
    said = {word for row in rows for word in row.judged[expert]}
    words = [word for word in EMOTIONS if word in said] + sorted(said - {*EMOTIONS})
    body = [[*row_labels(table, row), *(f"{row.judged[expert].get(word, 0):.2f}" for word in words)] for row in rows]
    console.print(f"\nWhat {expert} calls them", markup=False, style="bold")
    _print_columns(console, [*table.keys, *words], body, [[False] * (len(table.keys) + len(words))] * len(body))


def _print_columns(
    console: Console,
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    bold: Sequence[Sequence[bool]],
    left: int = 1,
) -> None:
    """The first ``left`` columns flush left, the others flush right."""
    from rich.text import Text

    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]
    for cells, strong in zip([header, *body], [[False] * len(header), *bold], strict=True):
        line = Text()
        for i, (cell, is_bold) in enumerate(zip(cells, strong, strict=True)):
            padded = cell.ljust(widths[i]) if i < left else cell.rjust(widths[i])
            line.append(f"  {padded}", style="bold" if is_bold else "")
        console.print(line)
