"""What the shard stage writes, and what reads it."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.shards import COUNTS, make_shards

from stages.common.errors import BadInputError
from stages.common.manifest import find_problems, load_artifact
from stages.common.shards import UNLABELLED, ShardDataset
from stages.common.stage import RunContext
from stages.common.tar import write_tar
from stages.shard.config import ShardConfig
from stages.shard.run import run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data"), samples_per_shard=5)


def test_every_split_has_its_own_series_of_full_shards_and_a_rest(data):
    counts = {o.path: o.count for o in data.manifest.outputs if o.path.endswith(".tar")}
    assert counts == {
        "test-000000.tar": 2,
        "train-000000.tar": 5,
        "train-000001.tar": 5,
        "train-000002.tar": 5,
        "train-000003.tar": 1,
        "val-000000.tar": 5,
    }
    assert find_problems(data) == []


def test_the_manifest_counts_samples_by_split_and_emotion(data):
    assert data.manifest.counts.total == data.manifest.counts.ok == 23
    assert data.manifest.metrics["samples"] == COUNTS


def test_a_sidecar_describes_each_shard(data):
    digests = {o.path: (o.sha256, o.bytes, o.count) for o in data.manifest.outputs}
    for tar in data.root.glob("*.tar"):
        sidecar = json.loads(tar.with_suffix(".json").read_text())
        assert (sidecar["sha256"], sidecar["bytes"], sidecar["count"]) == digests[tar.name]


def test_members_carry_no_time_owner_or_place(data):
    with tarfile.open(data.path("train-000000.tar")) as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    assert not any("/" in m.name for m in members)


def test_a_shard_mixes_emotions(data):
    emotions = pq.read_table(data.path("index.parquet"), filters=[("shard", "=", "train-000000.tar")])["emotion"]
    assert len(set(emotions.to_pylist())) > 1


def test_the_dataset_reads_the_pictures_that_were_packed(data):
    dataset = ShardDataset(data, "val")
    assert len(dataset) == 5
    assert sorted(dataset.labels.tolist()) == [0, 0, 0, 1, 1]
    for index, key in enumerate(dataset.keys):
        with Image.open(data.root.parent / "faces" / "faces" / f"{key}.jpg") as picture:
            assert np.array_equal(dataset[index], np.asarray(picture))
        assert key.split("_")[1] == ("neutral", "happy")[dataset.labels[index]]
        assert dataset.identities[index] == key
    batch = dataset.batch([3, 0])
    assert batch.shape == (2, 32, 32, 3)
    assert np.array_equal(batch[1], dataset[0])


def test_an_absent_split_is_bad_input(data):
    with pytest.raises(BadInputError, match="no samples in the split 'dev'"):
        ShardDataset(data, "dev")


def test_samples_without_a_label_are_marked(monkeypatch, tmp_path):
    monkeypatch.setattr("support.shards.COUNTS", {"train": {None: 2, "happy": 1}})
    dataset = ShardDataset(make_shards(tmp_path), "train")
    assert sorted(dataset.labels.tolist()) == [UNLABELLED, UNLABELLED, 1]


@pytest.mark.parametrize("damage", ["truncate", "delete", "index", "no index"])
def test_damaged_shards_are_bad_input(tmp_path, damage):
    data = make_shards(tmp_path)
    shard, index = data.path("val-000000.tar"), data.path("index.parquet")
    if damage == "truncate":
        shard.write_bytes(shard.read_bytes()[:700])
    elif damage == "delete":
        shard.unlink()
    elif damage == "index":
        index.write_bytes(index.read_bytes()[:100])
    else:
        index.unlink()
    with pytest.raises(BadInputError, match="not as they were written"):
        ShardDataset(data, "val").batch(range(5))


def test_without_accepted_faces_there_is_nothing_to_pack(tmp_path):
    faces = make_shards(tmp_path / "made").root.parent / "faces"
    rows = [row | {"status": "no face"} for row in pq.read_table(faces / "faces.parquet").to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), faces / "faces.parquet")
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInputError, match="no accepted faces"):
        run(ShardConfig(), {"faces": load_artifact(faces)}, RunContext(tmp_path / "out"))


def test_a_tar_is_what_tarfile_reads_and_equal_members_give_equal_bytes(tmp_path):
    members = [("b.jpg", b"\x00\x01" * 700), ("b.json", b"{}"), ("a.jpg", b"")]
    for name in ("one.tar", "two.tar"):
        write_tar(tmp_path / name, members)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "one.tar").read_bytes())) as tar:
        assert [(m.name, tar.extractfile(m).read()) for m in tar] == members
