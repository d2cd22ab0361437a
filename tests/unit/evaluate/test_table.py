"""Means, intervals, and the files that hold them."""

import pytest

from stages.common.engine import describe_source
from stages.common.errors import BadInputError
from stages.common.table import TABLE_NAME, Row, Table, Value, read_table
from stages.evaluate.table import columns_of, read_rows, require_finite, summarize, write_results

ROWS = [
    {"sample_key": "a", "target": "happy", "psnr": 20.0, "ssim": 0.5},
    {"sample_key": "a", "target": "sad", "psnr": 30.0, "ssim": None},
    {"sample_key": "b", "target": "happy", "psnr": 40.0, "ssim": 0.5},
]


def test_edits_of_one_face_count_as_one_sample():
    row = summarize(ROWS, {"target": "mean"}, ["psnr", "ssim"])
    assert row.samples == 2
    assert row.values["psnr"].mean == (25 + 40) / 2
    assert row.values["psnr"].interval_95 == (25, 40)
    assert "ssim" not in row.values


def test_one_sample_has_no_interval():
    assert summarize(ROWS[:1], {}, ["psnr"]).values["psnr"] == Value(20.0, None)


def test_a_value_that_is_not_a_number_is_named():
    require_finite(ROWS, ["psnr", "ssim"])
    with pytest.raises(BadInputError, match="psnr of b is nan"):
        require_finite([*ROWS[:2], {**ROWS[2], "psnr": float("nan")}], ["psnr"])


def test_a_table_is_read_as_it_was_written(tmp_path):
    row = Row({"target": "happy"}, 2, {"psnr": Value(30.0, (20.0, 40.0)), "ssim": Value(0.5)}, {"own": {"happy": 1.0}})
    table = Table("Edits", ("target",), columns_of(["psnr", "ssim"]), (row,), {"lpips": "no network"}, ("a note",))
    write_results(table, ROWS, tmp_path)
    assert read_table(describe_source(tmp_path, "0")) == table
    assert read_rows(tmp_path / "samples.parquet") == ROWS
    (tmp_path / TABLE_NAME).write_text("{}")
    with pytest.raises(BadInputError, match="not the table"):
        read_table(describe_source(tmp_path, "0"))
