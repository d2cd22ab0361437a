"""``facediff report``: one page, whole in itself."""

import html.parser
import re
from dataclasses import replace

import pytest
from PIL import Image

from facediff_cli.report.plots import Point, Series, line_plot
from stages.common.config import StageConfig
from stages.common.engine import execute
from stages.common.manifest import ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, StageSpec
from stages.common.table import Row, Table, Value
from stages.evaluate.table import columns_of, write_results

VOID = {"meta", "img"}


class Config(StageConfig):
    word: str = "<b>&"


def row(guidance, target, accuracy):
    labels = {"strength": 500, "guidance": guidance, "steps": 40, "target": target}
    return Row(labels, 4, {"accuracy_own": Value(accuracy, (0.0, 1.0)), "psnr": Value(30 - guidance)})


TABLE = Table(
    "Edits",
    ("strength", "guidance", "steps", "target"),
    columns_of(["accuracy_own", "psnr"]),
    (row(1.0, "happy", 0.25), row(1.0, "mean", 0.5), row(3.0, "happy", 0.625), row(3.0, "mean", 0.75)),
    {"lpips": "no <network>"},
)


@pytest.fixture
def evaluation(tmp_path):
    def run(_config, _inputs, context):
        write_results(TABLE, [{"sample_key": "a", "psnr": 1.0}], context.out)
        (context.out / "examples").mkdir()
        Image.new("RGB", (8, 8)).save(context.out / "examples" / "t500-g1-s40.png")
        return ArtifactDraft(Counts(total=1, ok=1), {"cells": 2})

    spec = StageSpec("eval_edit", 1, Config, {}, ArtifactKind.EVALUATION, run)
    return execute(spec, Config(), {}, tmp_path / "an evaluation"), spec


class Checker(html.parser.HTMLParser):
    """Every element is closed by its own end tag."""

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in {"circle", "path", "polyline"}, "only SVG closes elements so"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_beside_it(facediff, evaluation, tmp_path):
    artifact, _ = evaluation
    out = tmp_path / "pages" / "report.html"
    payload = facediff("report", artifact.root, "--out", out, "--title", "Mine & <yours>", "--json").payload
    page = out.read_text("utf-8")
    assert payload["bytes"] == len(page.encode())
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(link.startswith("data:image/png;base64,") for link in checker.links)
    assert len(checker.links) == 1
    assert "Mine &amp; &lt;yours&gt;" in page
    assert "no &lt;network&gt;" in page
    assert artifact.manifest.artifact_id in page
    for published in ("GANimation", "25.51", "0.738", "CSIM (CosFace)"):
        assert published in page
    facediff("report", artifact.root, "--out", tmp_path / "again.html", "--title", "Mine & <yours>")
    assert (tmp_path / "again.html").read_text("utf-8") == page


def test_the_trade_off_is_drawn_through_the_means(facediff, evaluation, tmp_path):
    facediff("report", evaluation[0].root, "--out", tmp_path / "report.html")
    (svg,) = re.findall(r"<svg.*?</svg>", (tmp_path / "report.html").read_text("utf-8"), re.DOTALL)
    assert svg.count("<polyline") == 1
    assert re.findall(r">(g [^<]*)<", svg) == ["g 1", "g 3"]
    assert "t0 500, 40 steps" in svg


def test_only_pages_of_its_own_are_replaced(facediff, evaluation, tmp_path):
    artifact, spec = evaluation
    out = tmp_path / "report.html"
    assert facediff("report", artifact.root, "--out", out, "--dry-run").stdout.startswith("would write")
    assert not out.exists()
    out.write_text("a diary")
    refused = facediff("report", artifact.root, "--out", out)
    assert (refused.exit_code, out.read_text()) == (4, "a diary")
    out.unlink()
    for title in ("one", "two"):
        assert facediff("report", artifact.root, "--out", out, "--title", title).exit_code == 0
    assert "<h1>two</h1>" in out.read_text("utf-8")
    assert facediff("report", artifact.root, "--out", tmp_path).exit_code == 3
    faces = execute(replace(spec, output=ArtifactKind.FACES), Config(), {}, tmp_path / "faces")
    assert facediff("report", faces.root, "--out", out).exit_code == 3


def test_one_point_has_axes_too():
    svg = line_plot([Series("a<b", (Point(1.0, 2.0, "p"),))], "x", "y")
    assert "nan" not in svg
    assert "a&lt;b" in svg


def test_faces_can_be_left_out(facediff, evaluation, tmp_path):
    facediff("report", evaluation[0].root, "--out", tmp_path / "report.html", "--no-faces")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<img" not in page
    assert "<table" in page
