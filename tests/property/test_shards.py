"""Sharding loses and repeats nothing, whatever the faces, their order and the size of a shard."""

from __future__ import annotations

import json
import random
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shards import make_shards, read_webdataset

from stages.common.engine import describe_source
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.shards import INDEX_NAME, ShardDataset
from stages.common.stage import RunContext
from stages.shard.config import ShardConfig
from stages.shard.run import run

FACES = st.lists(
    st.fixed_dictionaries(
        {
            "sample_key": st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
            "emotion": st.sampled_from([None, "neutral", "happy", "contempt"]),
            "identity": st.none() | st.text(max_size=5),
            "split": st.sampled_from(["train", "val", "test"]),
            "status": st.sampled_from(["ok", "ok", "ok", "no face"]),
            "content": st.binary(max_size=600),
        }
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row["sample_key"].lower(),
).filter(lambda rows: any(row["status"] == "ok" for row in rows))


def make_faces(root: Path, rows: list[dict]) -> Artifact:
    """An artifact of faces whose pictures are any bytes: sharding does not look into them."""
    (root / "faces").mkdir(parents=True)
    table = []
    for row in rows:
        path = f"faces/{row['sample_key']}.jpg" if row["status"] == "ok" else None
        if path:
            (root / path).write_bytes(row["content"])
        table.append({k: v for k, v in row.items() if k != "content"} | {"face_path": path})
    pq.write_table(pa.Table.from_pylist(table), root / "faces.parquet")
    manifest = describe_source(root, "0" * 64).manifest
    return Artifact(manifest.model_copy(update={"kind": ArtifactKind.FACES}), root)


def shard(root: Path, rows: list[dict], samples_per_shard: int, seed: int = 0) -> dict[str, bytes]:
    """The files that sharding ``rows`` leaves, by name."""
    faces, out = make_faces(root / "in", rows), root / "out"
    out.mkdir()
    run(ShardConfig(samples_per_shard=samples_per_shard), {"faces": faces}, RunContext(out, seed=seed))
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def read_tars(folder: Path) -> dict[str, list[tuple[str, bytes, dict]]]:
    """(key, picture, label) of the samples in each tar, in order."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = [(m.name.rsplit(".", 1), tar.extractfile(m).read()) for m in tar]
        pairs = list(zip(members[::2], members[1::2], strict=True))
        assert all((a[0], a[1], b[0], b[1]) == (a[0], "jpg", a[0], "json") for (a, _), (b, _) in pairs)
        found[path.name] = [(name[0], picture, json.loads(label)) for (name, picture), (_, label) in pairs]
    return found


@settings(max_examples=25)
@given(FACES, st.integers(1, 13))
def test_nothing_is_lost_or_repeated(rows, samples_per_shard):
    with TemporaryDirectory() as folder:
        shard(Path(folder), rows, samples_per_shard)
        tars = read_tars(Path(folder, "out"))
        accepted = {row["sample_key"]: row for row in rows if row["status"] == "ok"}
        samples = [sample for tar in tars.values() for sample in tar]
        assert sorted(key for key, _, _ in samples) == sorted(accepted)
        for key, picture, label in samples:
            assert picture == accepted[key]["content"]
            assert label == {name: accepted[key][name] for name in ("emotion", "identity", "split")}
        for split in ("train", "val", "test"):
            sizes = [len(tar) for name, tar in tars.items() if name.startswith(split)]
            assert all(size == samples_per_shard for size in sizes[:-1])
            assert all(0 < size <= samples_per_shard for size in sizes)
            assert all(label["split"] == split for n, t in tars.items() if n.startswith(split) for _, _, label in t)


@settings(max_examples=15)
@given(FACES, st.integers(1, 13))
def test_the_index_points_at_every_picture(rows, samples_per_shard):
    with TemporaryDirectory() as folder:
        files = shard(Path(folder), rows, samples_per_shard)
        index = pq.read_table(Path(folder, "out", INDEX_NAME)).to_pylist()
        accepted = {row["sample_key"]: row for row in rows if row["status"] == "ok"}
        assert sorted(entry["sample_key"] for entry in index) == sorted(accepted)
        for entry in index:
            row = accepted[entry["sample_key"]]
            assert files[entry["shard"]][entry["offset"] :][: entry["size"]] == row["content"]
            assert all(entry[name] == row[name] for name in ("split", "emotion", "identity"))


@settings(max_examples=15)
@given(FACES, st.integers(1, 13), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_byte(rows, samples_per_shard, chance: random.Random):
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        shuffled = chance.sample(rows, len(rows))
        assert shard(Path(one), rows, samples_per_shard) == shard(Path(two), shuffled, samples_per_shard)


def test_another_seed_is_another_order_of_the_same_samples(tmp_path):
    row = {"emotion": "happy", "identity": None, "split": "train", "status": "ok", "content": b"x"}
    rows = [row | {"sample_key": f"s{number}"} for number in range(20)]
    orders = []
    for seed in (0, 1):
        shard(tmp_path / str(seed), rows, 20, seed)
        orders.append([key for key, _, _ in read_tars(tmp_path / str(seed) / "out")["train-000000.tar"]])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_webdataset_reads_the_same_samples(tmp_path):
    data = make_shards(tmp_path, samples_per_shard=4)
    for split in ("train", "val", "test"):
        ours = ShardDataset(data, split)
        theirs = read_webdataset([str(path) for path in sorted(data.root.glob(f"{split}-*.tar"))])
        assert [sample["__key__"] for sample in theirs] == ours.keys
        assert all((sample["jpg"] == ours[i]).all() for i, sample in enumerate(theirs))
        assert [sample["json"]["identity"] for sample in theirs] == ours.identities
