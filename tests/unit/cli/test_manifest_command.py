from dataclasses import replace

import pytest
from PIL import Image

from stages.common import weights
from stages.common.engine import execute
from stages.common.manifest import ArtifactKind
from stages.common.provenance import write_provenance


@pytest.fixture
def shards(toy):
    """Shards made from faces made from a source."""
    faces = execute(toy.spec, toy.config, toy.inputs, toy.out)
    spec = replace(toy.spec, name="pack", inputs={"faces": ArtifactKind.FACES}, output=ArtifactKind.SHARDS)
    return execute(spec, toy.spec.config_type(text="packed"), {"faces": faces}, toy.out.with_name("shards"))


@pytest.fixture
def picture(tmp_path, shards, monkeypatch):
    """A PNG that says that a model made it which lies in the store."""
    monkeypatch.setattr(weights, "_ASSETS", shards.root.parent)
    path = tmp_path / "edited.png"
    Image.new("RGB", (4, 4)).save(path)
    write_provenance(path, {"tool": "facediff", "emotion": "happy", "model": shards.manifest.artifact_id})
    return path


def test_show(facediff, shards):
    result = facediff("manifest", "show", shards.root)
    assert result.exit_code == 0
    for part in ("shards", shards.manifest.artifact_id, "pack 1, seed 0", "text: packed"):
        assert part in result.stdout


def test_show_json_is_the_whole_manifest(facediff, shards):
    assert facediff("manifest", "show", shards.root, "--json").payload == shards.manifest.model_dump(mode="json")


def test_verify(facediff, shards):
    result = facediff("manifest", "verify", shards.root, "--json")
    assert (result.exit_code, result.payload["files"]) == (0, 3)
    (shards.root / "1.txt").write_text("PACKED 0 1")
    altered = facediff("manifest", "verify", shards.root)
    assert altered.exit_code == 3
    assert "1.txt: content differs" in altered.stderr


def test_a_models_name_stands_for_its_folder(facediff):
    assert "by bundle" in facediff("manifest", "lineage", "facediff-mini").stdout
    assert "as written" in facediff("manifest", "verify", "facediff-mini").stdout


def test_lineage_goes_back_to_the_source(facediff, shards):
    shown = facediff("manifest", "lineage", shards.root).stdout.splitlines()
    assert [line.strip(" └─├│").split(" ")[0] for line in shown] == ["shards", "faces:", "photos:"]
    assert shown[0].endswith("by pack")
    assert shown[2].split()[-2] == "source"


def test_lineage_of_any_file_inside(facediff, shards):
    whole = facediff("manifest", "lineage", shards.root, "--json").payload
    assert facediff("manifest", "lineage", shards.root / "2.txt", "--json").payload == whole
    assert whole["inputs"][0]["inputs"][0]["kind"] == "source"


def test_an_edited_picture_tells_how_it_was_made(facediff, picture):
    assert facediff("manifest", "show", picture, "--json").payload["emotion"] == "happy"


def test_lineage_of_an_edited_picture_continues_in_its_model(facediff, picture, shards):
    tree = facediff("manifest", "lineage", picture, "--json").payload
    assert (tree["kind"], tree["id"]) == ("picture", "edited.png")
    assert tree["inputs"][0]["id"] == shards.manifest.artifact_id
    assert tree["inputs"][0]["inputs"][0]["kind"] == "faces"


def test_lineage_of_a_picture_whose_model_is_gone(facediff, picture, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "_ASSETS", tmp_path / "nothing")
    assert facediff("manifest", "lineage", picture, "--json").payload["inputs"][0]["inputs"] == []


@pytest.mark.parametrize("command", ["show", "verify", "lineage"])
def test_what_facediff_did_not_write(facediff, command, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    for name in ("plain.png", "broken.png", "absent.png", "."):
        result = facediff("manifest", command, tmp_path / name)
        assert result.exit_code == 3
        assert result.stderr.count("\n") == 1
