"""The table of an evaluation as text."""

import csv
import io

import pytest
from rich.console import Console

from facediff_cli.tables import best_values, print_table, to_csv, to_latex
from stages.common.table import Column, Row, Table, Value
from stages.evaluate.table import columns_of


@pytest.fixture
def table():
    def row(system, target, psnr, l1):
        values = {"psnr": Value(psnr, (psnr - 1, psnr + 1))} | ({"l1": Value(l1)} if l1 else {})
        return Row({"system": system, "target": target}, 3, values, {"own": {"sad": 0.25, "happy": 0.75}})

    rows = (row("a_1", "happy", 20.0, 0.1), row("b", "happy", 25.0, 0.2), row("a_1", "sad", 30.0, None))
    return Table("Edits", ("system", "target"), columns_of(["psnr", "l1"]), rows, {"lpips": "no network"}, ("a note",))


def test_the_best_of_comparable_rows_is_known_in_both_directions(table):
    assert best_values(table) == {(1, "psnr"), (0, "l1")}


def test_latex_has_rules_arrows_and_bold_best_values(table):
    text = to_latex(table)
    assert text.splitlines()[:4] == [
        r"\begin{tabular}{llrr}",
        r"\toprule",
        r"system & target & PSNR dB $\uparrow$ & l1 $\downarrow$ \\",
        r"\midrule",
    ]
    assert r"a\_1 & happy & 20.00 & \textbf{0.1000} \\" in text
    assert r"b & happy & \textbf{25.00} & 0.2000 \\" in text
    assert r"a\_1 & sad & 30.00 & - \\" in text
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")


def test_csv_has_every_number(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == 3
    assert (rows[1]["psnr"], rows[1]["psnr_low"], rows[1]["psnr_high"]) == ("25.0", "24.0", "26.0")
    assert (rows[0]["l1"], rows[0]["l1_low"], rows[2]["l1"]) == ("0.1", "", "")


def test_the_terminal_shows_intervals_confusions_and_what_is_missing(table):
    console = Console(file=io.StringIO(), soft_wrap=True, width=40)
    print_table(console, table)
    text = console.file.getvalue()
    assert "20.00 ±1.00" in text
    assert "PSNR dB ↑" in text
    assert "l1 ↓" in text
    assert "What own calls them" in text
    assert "happy   sad\n" in text, "in the order of the emotions"
    assert "0.75  0.25\n" in text
    assert "lpips: missing: no network" in text
    assert text.endswith("a note\n")
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert len({len(line) for line in lines[:4]}) == 1, "columns line up, whatever the terminal's width"


def test_a_column_without_a_better_way_has_no_arrow_and_no_best():
    column = Column("p", "p", None, 4)
    rows = tuple(
        Row({"system": name, "target": "x"}, 3, {"p": Value(mean)}, {"own": {"none": 1.0}})
        for name, mean in (("a", 0.5), ("b", 1e-9))
    )
    table = Table("T", ("system", "target"), (column,), rows)
    assert best_values(table) == set()
    assert r"target & p \\" in to_latex(table)
    console = Console(file=io.StringIO(), soft_wrap=True, width=40)
    print_table(console, table)
    assert "<0.0001" in console.file.getvalue()
    assert "$<$0.0001" in to_latex(table)
    assert "none\n" in console.file.getvalue(), "words that are no emotions are shown, too"
