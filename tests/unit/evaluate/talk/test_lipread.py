"""``eval lipread`` on a random reader: the account of clips, the columns, and what is refused."""

import numpy as np
import pytest
from support.grey_mouths import NOBODY, draw_levels, write_talk
from support.lip_reader import make_lip_reader, write_manifest_of

from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError, Interrupted, MissingModelError, TooManyRejectedError
from stages.common.lip_reading import LipReaderExpert
from stages.common.manifest import ArtifactKind, InputRef
from stages.common.table import read_table
from stages.evaluate.config import LipreadConfig
from stages.evaluate.table import read_rows
from stages.evaluate.talk import lipread
from stages.evaluate.talk.clips import read_clips
from stages.evaluate.talk.lipread import lipread_spec, silence_role
from stages.evaluate.talk.systems import REAL
from stages.evaluate.talk.visemes import why_no_visemes

jiwer = pytest.importorskip("jiwer")

METRICS = ("wer", "cer", "lipscore", "lipleak", "lip_opening")


def evaluate(out, reader, systems, silent=None, **fields):
    """``systems`` and ``silent``: name to folder, or to what ``read_clips`` gave."""
    clips = {name: read_clips(root) for name, root in systems.items()}
    silences = {name: read_clips(root) for name, root in (silent or {}).items()}
    names = tuple(name for name in clips if name != REAL)
    config = LipreadConfig(**{"metrics": METRICS, "systems": names, "silent": tuple(silences), **fields})
    inputs = {"reader": reader, **clips, **{silence_role(name): a for name, a in silences.items()}}
    return execute(lipread_spec(clips, silences), config, inputs, out)


@pytest.fixture(scope="module")
def silence(tmp_path_factory):
    """A mouth that stays shut in one clip, half of one, and never in the last."""
    root = tmp_path_factory.mktemp("silence")
    for name, levels in (("a", [20] * 20), ("b", [20] * 10 + [200] * 10), ("c", [200] * 20)):
        write_talk(root / f"{name}.mp4", levels)
    return root


def test_real_clips_and_a_system_side_by_side(tmp_path, reader, real, other, silence):
    artifact = evaluate(tmp_path / "out", reader, {REAL: real, "ours": other}, {"ours": silence})
    table, rows = read_table(artifact), read_rows(artifact.path("samples.parquet"))
    truth, ours = table.rows
    assert truth.labels == {"system": REAL, "reader": "reader", "clips": "real"}
    assert ours.labels == {"system": "ours", "reader": "reader", "clips": "generated"}
    assert [column.name for column in table.columns] == ["wer", "wer_real", "cer", "lipscore", "lipleak", "lip_opening"]
    assert ours.values["wer_real"].mean == truth.values["wer"].mean
    assert ours.values["lipscore"].mean == pytest.approx(1, abs=1e-3)
    assert ours.values["lipleak"].mean == pytest.approx(0.5, abs=0.06)
    assert set(truth.values) == {"wer", "cer"}
    said = [row for row in rows if row["system"] == "ours"]
    assert truth.values["wer"].mean == pytest.approx(
        100 * jiwer.wer([row["transcript"] for row in said], [row["read"] for row in said]), abs=1e-6
    )
    assert [row["lipscore"] for row in said] == pytest.approx([ours.values["lipscore"].mean] * 3, abs=1e-3)
    counts = artifact.manifest.counts
    assert (counts.total, counts.ok, len(rows)) == (9, 9, 9)
    assert any("no lineage is known of ours" in note for note in table.notes)


def test_rejected_clips_are_counted_with_their_reasons(tmp_path, reader, real):
    system = tmp_path / "system"
    system.mkdir()
    write_talk(system / "a.mp4", draw_levels(0))
    write_talk(system / "b.mp4", [NOBODY] * 44)
    write_talk(system / "c.mp4", draw_levels(2)[:30])
    artifact = evaluate(tmp_path / "out", reader, {REAL: real, "x": system})
    counts = artifact.manifest.counts
    assert (counts.total, counts.ok) == (6, 4)
    assert counts.rejected_by_reason == {"no face": 1, "other length": 1}
    table = read_table(artifact)
    assert "x: 2 of 3 clips rejected: no face 1, other length 1" in table.notes
    assert [row.samples for row in table.rows] == [3, 1]
    with pytest.raises(TooManyRejectedError, match="2 of 6 clips were rejected"):
        evaluate(tmp_path / "strict", reader, {REAL: real, "x": system}, max_rejected=0.1)


def test_where_the_real_clip_is_rejected_there_is_nothing_to_compare_with(tmp_path, reader, other):
    broken = tmp_path / "real"
    broken.mkdir()
    for name, levels in (("a", [NOBODY] * 44), ("b", draw_levels(1)), ("c", draw_levels(2))):
        write_talk(broken / f"{name}.mp4", levels, text="bin")
    artifact = evaluate(tmp_path / "out", reader, {REAL: broken, "x": other})
    assert artifact.manifest.counts.rejected_by_reason == {"no face": 1, "real clip: no face": 1}
    assert [row.samples for row in read_table(artifact).rows] == [2, 2]


def test_without_real_clips_the_texts_beside_a_systems_clips_count(tmp_path, reader, real):
    table = read_table(evaluate(tmp_path / "out", reader, {"x": real}))
    assert "no real clips were given: how often the reader errs on them is not known" in table.notes
    assert [column.name for column in table.columns] == ["wer", "cer"]
    assert set(table.missing) == {"lipscore", "lipleak", "lip_opening"}


def test_what_needs_no_transcript_asks_for_none(tmp_path, reader, other, silence):
    artifact = evaluate(tmp_path / "out", reader, {"x": other}, {"x": silence}, metrics=("lipleak",))
    assert read_table(artifact).rows[0].values["lipleak"].mean == pytest.approx(0.5, abs=0.06)
    with pytest.raises(ConfigError, match="nothing can be measured: no system's clips of silence"):
        evaluate(tmp_path / "none", reader, {"x": other}, metrics=("lipleak",))


def test_features_that_are_not_numbers_are_a_reason(tmp_path, reader, real, monkeypatch):
    true = LipReaderExpert.features
    monkeypatch.setattr(LipReaderExpert, "features", lambda self, *clip: true(self, *clip) * np.nan)
    with pytest.raises(TooManyRejectedError, match="3 of them as 'features are not numbers'"):
        evaluate(tmp_path / "out", reader, {REAL: real})


def test_nothing_is_read_twice(tmp_path, reader, real, monkeypatch):
    config = LipreadConfig(metrics=("wer",))
    clips = {REAL: read_clips(real)}
    read = []
    true = LipReaderExpert.read
    monkeypatch.setattr(LipReaderExpert, "read", lambda self, *clip: (read.append(1), true(self, *clip))[1])
    how = lipread_spec(clips, {}), config, {"reader": reader, **clips}, tmp_path / "out"
    with pytest.raises(Interrupted, match="what was read is kept"):
        execute(*how, should_stop=lambda: len(read) == 2)
    execute(*how)
    assert len(read) == 3


def test_a_missing_reader_and_missing_clips(tmp_path, reader, real, other):
    empty = tmp_path / "empty"
    empty.mkdir()
    absent = write_manifest_of(empty, ArtifactKind.LIP_READER)
    with pytest.raises(MissingModelError):
        evaluate(tmp_path / "out", absent, {REAL: real})
    few = tmp_path / "few"
    few.mkdir()
    (few / "a.mp4").write_bytes((real / "a.mp4").read_bytes())
    with pytest.raises(BadInputError, match=r"x: 2 of 3 clips are not there \(b, c\)"):
        evaluate(tmp_path / "out", reader, {REAL: real, "x": few})
    with pytest.raises(BadInputError, match="3 of 3 clips have no transcript"):
        evaluate(tmp_path / "out", reader, {"x": other})
    with pytest.raises(ConfigError, match="must differ"):
        lipread_spec({"reader": read_clips(real)}, {})


def test_the_expert_of_a_talking_face_is_no_independent_judge(tmp_path, reader, real):
    talked = tmp_path / "talked"
    talked.mkdir()
    for name in "abc":
        (talked / f"{name}.mp4").write_bytes((real / f"{name}.mp4").read_bytes())
    tuned_by = (InputRef(role="expert", kind=ArtifactKind.LIP_READER, id=reader.manifest.artifact_id),)
    write_manifest_of(talked, ArtifactKind.SAMPLES, "talk", tuned_by)
    table = read_table(evaluate(tmp_path / "own", reader, {REAL: real, "ours": talked}))
    assert table.rows[1].labels["reader"] == "reader (the expert that tuned it)"
    assert any("ours: tuned by this reader" in note for note in table.notes)
    stranger = make_lip_reader(tmp_path / "stranger", seed=1)
    table = read_table(evaluate(tmp_path / "other", stranger, {REAL: real, "ours": talked}))
    assert table.rows[1].labels["reader"] == "stranger"
    assert not any("ours" in note for note in table.notes)


def test_visemes_have_columns_of_their_own(tmp_path, reader, real):
    if why_no_visemes():
        pytest.skip(why_no_visemes())
    (row,) = read_table(evaluate(tmp_path / "out", reader, {REAL: real}, metrics=("wer", "werv", "cerv"))).rows
    assert list(row.values) == ["wer", "werv", "cerv"]
    low, high = row.values["cerv"].interval_95
    assert low <= row.values["cerv"].mean <= high


def test_the_published_numbers_stand_beside_ours():
    from stages.evaluate.published import published_metrics, published_rows

    rows = {row.labels["published"]: row.values for row in published_rows("eval_lipread")}
    assert rows["ground truth (AV-HuBERT reads MEAD)"]["wer"].mean == 65.5
    assert published_metrics("eval_lipread") == ("wer", "cer", "werv", "cerv")
    assert published_metrics("eval_lipread") == lipread.RATES
