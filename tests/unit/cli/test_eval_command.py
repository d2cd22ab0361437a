"""``facediff eval`` from the command line."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from support.tiny_model import train_tiny_model


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model").root


@pytest.fixture
def pictures(tmp_path):
    for folder in ("source", "edited"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            pixels = np.random.default_rng(len(folder)).integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    return tmp_path


def test_reconstruction_in_all_formats(facediff, tiny_root, tmp_path):
    out = tmp_path / "out"
    common = ("eval", "reconstruction", "--model", tiny_root, "--data", tiny_root.parent / "shards", "--out", out)
    options = ("--split", "val", "--limit", 3, "--metrics", "psnr,l1")
    dry = facediff(*common, *options, "--dry-run", "--json").payload
    assert dry["config"]["metrics"] == ["psnr", "l1"]
    assert not out.exists()
    first = facediff(*common, *options, "--json").payload
    (row,) = first["table"]["rows"]
    assert (first["up_to_date"], row["samples"]) == (False, 3)
    assert first["metrics"]["psnr"] == row["values"]["psnr"]["mean"]
    (line,) = csv.DictReader(io.StringIO(facediff(*common, *options, "--csv").stdout))
    assert float(line["psnr"]) == pytest.approx(row["values"]["psnr"]["mean"])
    assert r"\toprule" in facediff(*common, *options, "--latex").stdout
    assert "Reconstruction" in facediff(*common, *options).stdout
    assert facediff(*common, "--split", "train", "--metrics", "psnr").exit_code == 4


def test_edit_of_a_model(facediff, tiny_root, tmp_path):
    options = ("--strength", 200, "--strength", 300, "--guidance", 1, "--steps", 1, "--emotion", "joy")
    result = facediff(
        "eval", "edit", "--model", tiny_root, "--data", tiny_root.parent / "faces", "--split", "val",
        "--metrics", "psnr", *options, "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    labels = [row["labels"] for row in result.payload["table"]["rows"]]
    assert [(row["strength"], row["target"]) for row in labels] == [(200, "happy"), (300, "happy")]


def test_edit_of_folders(facediff, pictures):
    common = ("eval", "edit", "--source", pictures / "source", "--metrics", "psnr", "--out", pictures / "out")
    edited = ("--edited", f"zoe={pictures / 'edited'}:happy", "--edited", f"amy={pictures / 'source'}")
    result = facediff(*common, *edited, "--json")
    assert [row["labels"]["system"] for row in result.payload["table"]["rows"]] == ["zoe", "amy"]
    (pictures / "edited" / "b.png").unlink()
    assert facediff(*common, *edited).exit_code == 4, "other pictures, other inputs"
    other = facediff(*common[:-1], pictures / "other", *edited)
    assert (other.exit_code, "1 of 2 sources have no edited picture (b)" in other.stderr) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --data, or --source and --edited"),
        (("--source", "a"), "give either --data, or --source and --edited"),
        (("--source", "a", "--edited", "x=a", "--strength", "500"), "strengths are settings of a model's edits"),
        (("--source", "a", "--edited", "x"), "NAME=DIR"),
        (("--source", "a", "--edited", "x=a", "--csv", "--latex"), "exclude one another"),
    ],
)
def test_wrong_edit_options(facediff, arguments, message, tmp_path):
    result = facediff("eval", "edit", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr


def test_generation_without_networks_says_what_is_missing(facediff, tiny_root, pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (pictures / "edited").rename(pictures / "happy")
    (pictures / "generated").mkdir()
    (pictures / "happy").rename(pictures / "generated" / "happy")
    common = ("eval", "generation", "--generated", pictures / "generated", "--data", tiny_root.parent / "shards")
    result = facediff(*common, "--out", pictures / "out", "--metrics", "fid")
    assert result.exit_code == 6
    assert "fid cannot be measured: weights-inception" in result.stderr
    result = facediff(*common, "--out", pictures / "out")
    assert result.exit_code == 6
    assert "nothing can be measured here" in result.stderr


def test_data_of_another_kind_is_bad_input(facediff, tiny_root, tmp_path):
    result = facediff("eval", "reconstruction", "--data", tiny_root, "--out", tmp_path / "out", "--metrics", "l1")
    assert result.exit_code == 3
    assert "holds model, but shards or faces is needed here" in result.stderr
