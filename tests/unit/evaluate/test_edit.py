"""The sweep over a model's settings: its rows, its cells, and what it refuses."""

import pytest
from PIL import Image

from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError, Interrupted
from stages.common.manifest import load_artifact
from stages.common.table import read_table
from stages.evaluate import edit
from stages.evaluate.config import EditGridConfig
from stages.evaluate.edit import EDIT_GRID
from stages.evaluate.table import read_rows

CONFIG = EditGridConfig(
    split="train", metrics=("accuracy_own", "psnr"), guidance_scales=(1.0, 3.0), strengths=(400, 500), steps=(2,)
)


@pytest.fixture
def inputs(tiny, shards):
    return {"model": tiny, "shards": shards}


def test_every_cell_target_and_face_has_a_row(inputs, tmp_path):
    artifact = execute(EDIT_GRID, CONFIG, inputs, tmp_path / "out")
    rows = read_rows(artifact.path("samples.parquet"))
    edits, unedited = rows[:-16], rows[-16:]
    assert len(edits) == 4 * 2 * 16
    assert {(r["strength"], r["guidance"], r["target"]) for r in edits} == {
        (s, g, t) for s in (400, 500) for g in (1.0, 3.0) for t in ("happy", "sad")
    }
    table = read_table(artifact)
    assert [r.labels["target"] for r in table.rows] == [*["happy", "sad", "mean"] * 4, "unedited"]
    happy, sad, mean = table.rows[:3]
    assert mean.values["psnr"].mean == pytest.approx((happy.values["psnr"].mean + sad.values["psnr"].mean) / 2)
    assert sum(happy.judged["own"].values()) == pytest.approx(1)
    assert happy.values["accuracy_own"].mean == happy.judged["own"].get("happy", 0)
    assert {row["target"] for row in unedited} == {"unedited"}
    agreed = sum(row["judged_own"] == row["source"] for row in unedited)
    assert set(table.rows[-1].values) == {"accuracy_own"}
    assert table.rows[-1].values["accuracy_own"].mean == agreed / 16
    metrics = artifact.manifest.metrics
    assert metrics["network_evaluations"] < metrics["naive_evaluations"] == 16 * 2 * 2 * (2 + 4) * 2
    with Image.open(artifact.path("examples/t400-g3-s2.png")) as grid:
        assert grid.size == (3 * 32, 6 * 32)


def test_a_finished_cell_is_not_made_again(inputs, tmp_path, monkeypatch):
    whole = execute(EDIT_GRID, CONFIG, inputs, tmp_path / "whole")
    made = []
    edit_into_each = edit.edit_into_each

    def counted(*arguments):
        made.append(arguments[-1].name)
        return edit_into_each(*arguments)

    monkeypatch.setattr(edit, "edit_into_each", counted)
    with pytest.raises(Interrupted):
        execute(EDIT_GRID, CONFIG, inputs, tmp_path / "out", should_stop=lambda: len(made) == 2)
    resumed = execute(EDIT_GRID, CONFIG, inputs, tmp_path / "out")
    assert made == ["t400-g1-s2", "t400-g3-s2", "t500-g1-s2", "t500-g3-s2"]
    assert resumed.manifest.artifact_id == whole.manifest.artifact_id
    assert resumed.manifest.metrics == whole.manifest.metrics


def test_the_batch_size_changes_nothing(inputs, tmp_path, monkeypatch):
    config = CONFIG.model_copy(update={"metrics": ("psnr",), "strengths": (400,), "guidance_scales": (3.0,)})
    first = execute(EDIT_GRID, config, inputs, tmp_path / "first")
    monkeypatch.setattr(edit, "BATCH", 5)
    second = execute(EDIT_GRID, config, inputs, tmp_path / "second")
    order = lambda row: (row["sample_key"], row["target"])  # noqa: E731
    rows = [sorted(read_rows(a.path("samples.parquet")), key=order) for a in (first, second)]
    assert [r["psnr"] for r in rows[0]] == pytest.approx([r["psnr"] for r in rows[1]], rel=1e-3)


def test_a_face_is_found_for_who_it_is_even_where_no_detector_finds_it(inputs, tmp_path):
    config = EditGridConfig(
        split="train", limit=1, metrics=("csim_dlib",), targets=("sad",), strengths=(100,), steps=(1,), examples=0
    )
    artifact = execute(EDIT_GRID, config, inputs, tmp_path / "out")
    table = read_table(artifact)
    assert -1 <= table.rows[0].values["csim_dlib"].mean <= 1.0001
    assert table.notes == ("no face was found in 1 of 1 sources: the usual place was taken",)
    assert not artifact.path("examples").exists()


def test_faces_without_a_label_that_the_model_knows_are_counted(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(edit, "EMOTIONS", ("neutral", "contempt", "sad", "happy"))
    config = EditGridConfig(split="train", metrics=("psnr",), steps=(1,), strengths=(100,), targets=("sad",))
    counts = execute(EDIT_GRID, config, inputs, tmp_path / "out").manifest.counts
    assert counts.model_dump() == {"total": 16, "ok": 10, "rejected_by_reason": {"label not learned": 6}}


def test_labels_can_come_from_the_classifier(inputs, tmp_path):
    config = EditGridConfig(split="val", source="auto", metrics=("psnr",), strengths=(100,), steps=(1,))
    rows = read_rows(execute(EDIT_GRID, config, inputs, tmp_path / "out").path("samples.parquet"))
    assert {row["source"] for row in rows} <= {"neutral", "happy", "sad"}


def test_what_cannot_be_evaluated_is_a_line(inputs, tiny, tmp_path):
    with pytest.raises(ConfigError, match="has not learned fear"):
        execute(EDIT_GRID, EditGridConfig(targets=("fear",), metrics=("psnr",)), inputs, tmp_path / "out")
    faces = load_artifact(tiny.root.parent / "faces")
    with pytest.raises(BadInputError, match="no accepted faces in the split 'night'"):
        execute(EDIT_GRID, EditGridConfig(split="night"), {"model": tiny, "faces": faces}, tmp_path / "out2")


@pytest.mark.parametrize(
    "fields", [{"strengths": ()}, {"steps": (40, 40)}, {"strengths": (30,), "steps": (40,)}, {"strengths": (1001,)}]
)
def test_a_grid_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValueError, match=r"strengths|steps"):
        EditGridConfig(**fields)
