"""The benchmark of the expression network measures every coefficient, and says what a model lacks."""

import pytest
from support.shards import make_shards
from support.tiny_model import tiny_config

from benchmarks.expression import measure_expression, print_expression
from stages.common.engine import execute
from stages.common.errors import MissingModelError
from stages.common.face.expression import COEFFICIENTS
from stages.expression.run import EXPRESSION


def test_agreement_and_cost_are_measured_on_the_wanted_split(tmp_path, capsys):
    shards = make_shards(tmp_path / "data", expression=True)
    run = execute(EXPRESSION, tiny_config(EXPRESSION), {"data": shards}, tmp_path / "run")
    result = measure_expression(shards.root, run.root, "test")
    assert result["faces"] == 2
    assert set(result["coefficients"]) == set(COEFFICIENTS)
    assert result["points_error_percent"] > 0
    assert result["ms_per_crop"] > 0
    assert result["bytes"] > 1000
    print_expression(result)
    assert "| jawOpen" in capsys.readouterr().out


def test_a_model_without_one_is_said(tmp_path):
    with pytest.raises(MissingModelError, match="no expression network"):
        measure_expression(tmp_path, tmp_path, "test")
