"""What comes from a hub is whole and right, or is not there."""

import json

import pytest

from stages.common.errors import ConfigError, MissingModelError, ResumeConflictError
from stages.common.hub.address import HubAddress, parse_address
from stages.common.hub.pull import destination_for, find_offer, pull
from stages.common.hub.push import push
from stages.common.progress import SilentProgress
from stages.common.weights import find_model_problems, list_models, resolve_model

WEIGHTS = "unet/weights.safetensors"


@pytest.fixture
def published(hub, model):
    hub.add("someone/faces", model.root)
    return hub


def fetch(name="faces", source="someone/faces", revision=None):
    return pull(find_offer(parse_address(source, revision)), name, SilentProgress())


def test_a_pulled_model_is_the_published_one(published, model, store):
    artifact = fetch()
    assert artifact.root == store / "models" / "faces"
    assert resolve_model("faces").manifest == model.manifest
    assert find_model_problems(artifact) == []
    for path in ("README.md", f"parents/{model.manifest.inputs[0].id[:16]}.json", "manifest.json"):
        assert (artifact.root / path).read_bytes() == (model.root / path).read_bytes()
    assert not list((store / "downloads").iterdir())


def test_a_url_and_a_revision_name_it_too(published):
    commit = published.commit_of("someone/faces")
    assert fetch("a", f"{published.endpoint}/someone/faces").root.name == "a"
    assert fetch("b", f"{published.endpoint}/someone/faces/tree/main").root.name == "b"
    assert fetch("c", revision=commit).root.name == "c"
    with pytest.raises(MissingModelError, match=r"no model .*faces at revision v9"):
        fetch("d", revision="v9")


def test_a_second_pull_fetches_nothing(published):
    first = fetch()
    before = len(published.requests)
    assert fetch().manifest == first.manifest
    assert [r.path for r in published.requests[before:] if WEIGHTS in r.path] == []


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_an_interrupted_pull_is_continued(published, store, ignores_ranges):
    published.cut[WEIGHTS] = 40_000
    with pytest.raises(MissingModelError) as refused:
        fetch()
    assert refused.value.exit_code == 6
    assert "\n" not in str(refused.value)
    assert list_models() == []
    assert (store / "downloads" / "faces" / f"{WEIGHTS}.part").stat().st_size == 40_000
    published.down = False
    published.ignores_ranges = ignores_ranges
    published.requests.clear()
    fetch()
    assert published.fetched(WEIGHTS) == [40_000]
    assert published.fetched("model.json") == [], "what was whole is not fetched again"
    assert resolve_model("faces")


def test_a_corrupted_file_is_refused_and_thrown_away(published, model, store):
    right = published.files["someone/faces"][WEIGHTS]
    published.files["someone/faces"][WEIGHTS] = right[:-1] + b"!"
    with pytest.raises(MissingModelError, match=r"weights.safetensors of .* is not the file"):
        fetch()
    assert list_models() == []
    assert not list((store / "downloads").rglob("weights*"))
    published.files["someone/faces"][WEIGHTS] = right
    fetch()
    assert resolve_model("faces").manifest == model.manifest


def test_a_wrong_part_is_noticed_and_fetched_again(published, store):
    part = store / "downloads" / "faces" / f"{WEIGHTS}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"wrong" * 10)
    with pytest.raises(MissingModelError, match="is not the file"):
        fetch()
    fetch()
    assert published.fetched(WEIGHTS) == [50, 0]


def test_what_an_older_version_left_is_removed(published, store):
    staging = store / "downloads" / "faces"
    (staging / "parents").mkdir(parents=True)
    for leftover in ("old.safetensors", "parents/0.json", "manifest.json", "model.json.part"):
        (staging / leftover).write_bytes(b"x" * 1000)
    assert find_model_problems(fetch()) == []


def test_another_model_of_this_name_is_kept(published, store, model, toy):
    taken = fetch("faces").root
    (model.root / "model.json").write_text('{"other": 1}')
    changed = json.loads(published.files["someone/faces"]["manifest.json"])
    published.files["someone/faces"]["manifest.json"] = json.dumps({**changed, "artifact_id": "0" * 64}).encode()
    with pytest.raises(ResumeConflictError, match="another model is called faces"):
        fetch("faces")
    assert resolve_model(str(taken))


@pytest.mark.parametrize("path", ["../../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:evil", "manifest.json", ""])
def test_a_manifest_may_not_reach_outside(published, store, path):
    files = published.files["someone/faces"]
    manifest = json.loads(files["manifest.json"])
    manifest["outputs"][0]["path"] = path
    files[path] = b"evil"
    files["manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(MissingModelError, match="names a file outside of it"):
        fetch()
    assert not store.exists()


@pytest.mark.parametrize("path", ["parents/../../../evil.json", "parents/..\\evil.json", "parents/a/b.json"])
def test_nor_may_what_lies_beside_it(published, store, tmp_path, path):
    published.files["someone/faces"][path] = b"evil"
    assert path not in find_offer(parse_address("someone/faces")).companions


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"manifest.json": None}, "not a facediff model. It has no manifest.json"),
        ({"manifest.json": b"{}"}, "its manifest.json is not ours"),
        ({WEIGHTS: None}, "lacks unet/weights.safetensors"),
    ],
)
def test_what_is_no_model_is_refused(published, change, told):
    files = {**published.files["someone/faces"], **change}
    published.files["someone/faces"] = {name: content for name, content in files.items() if content is not None}
    with pytest.raises(MissingModelError, match=told):
        fetch()


def test_a_dataset_is_no_model(published, toy):
    files = published.files["someone/faces"]
    files["manifest.json"] = files["manifest.json"].replace(b'"latent_diffusion"', b'"shards"')
    with pytest.raises(MissingModelError, match="holds shards, not a model"):
        fetch()


def test_an_absent_hub_or_model_is_told_in_one_line(published, monkeypatch):
    with pytest.raises(MissingModelError, match=r"there is no model .*someone/else"):
        fetch(source="someone/else")
    published.needs_token = True
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(MissingModelError, match="HF_TOKEN"):
        fetch()
    published.down = True
    with pytest.raises(MissingModelError, match="HTTP 503"):
        fetch()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingModelError, match="cannot reach") as refused:
        fetch()
    assert "\n" not in str(refused.value)


def test_offline_is_a_missing_model(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingModelError, match="HF_HUB_OFFLINE is set") as refused:
        find_offer(parse_address("someone/faces"))
    assert refused.value.exit_code == 6


def test_the_token_goes_to_its_own_hub_alone(published, monkeypatch):
    find_offer(parse_address("someone/faces"))
    assert {r.token for r in published.requests} == {"Bearer hf_secret"}
    published.requests.clear()
    monkeypatch.setenv("HF_ENDPOINT", "https://example.org")
    find_offer(parse_address(f"{published.endpoint}/someone/faces"))
    assert {r.token for r in published.requests} == {None}


def test_push_and_pull_make_a_round_trip(hub, model):
    (model.root / "notes.partial").write_text("not part of the model")
    commit = push(model, parse_address("someone/new"), private=False)
    assert commit == hub.commit_of("someone/new")
    assert "notes.partial" not in hub.files["someone/new"]
    assert fetch("back", "someone/new").manifest == model.manifest


def test_a_push_that_is_refused_is_told(hub, model):
    hub.down = True
    with pytest.raises(ConfigError, match="HTTP 503"):
        push(model, parse_address("someone/new"), private=False)


def test_names_that_leave_the_store_are_refused(published):
    offer = find_offer(parse_address("someone/faces"))
    for name in ("../x", "a/b", ".hidden", "", ".."):
        with pytest.raises(ConfigError, match="cannot be the name"):
            destination_for(offer, name)


def test_addresses(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    assert parse_address("a/b") == HubAddress("https://hub.example", "a/b")
    assert parse_address("https://hub.example/a/b/tree/v1") == HubAddress("https://hub.example", "a/b", "v1")
    assert parse_address("https://other.example/a/b", "v2") == HubAddress("https://other.example", "a/b", "v2", False)
    for wrong in ("a", "a/b/c", "https://hub.example/a", "ftp://hub.example/a/b", "../b", "http://[", ""):
        with pytest.raises(ConfigError):
            parse_address(wrong)
