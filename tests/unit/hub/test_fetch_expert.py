"""An expert comes whole and right from its publisher, or not at all."""

import hashlib
import json
from dataclasses import replace

import pytest

from facediff_cli.main import main
from stages.common.errors import ConfigError, MissingModelError
from stages.common.experts import EXPERTS, require_expert
from stages.common.hub.fetch_expert import absent_experts, fetch_expert
from stages.common.progress import SilentProgress

CONTENT = bytes(range(256)) * 100
FILE = "theirs.pth"


@pytest.fixture
def folder(store, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return store / "weights"


@pytest.fixture
def publish(hub, folder, monkeypatch):
    """Put a file under another name on the server, and what is known of it among the experts."""

    def publish(content=CONTENT, **known):
        hub.files["some/one"] = {FILE: content}
        expert = replace(
            EXPERTS["vgg16"],
            file_name="ours.pth",
            source=f"{hub.endpoint}/some/one/resolve/main/{FILE}",
            **{"sha256": hashlib.sha256(CONTENT).hexdigest(), "size_bytes": len(CONTENT), **known},
        )
        monkeypatch.setitem(EXPERTS, "vgg16", expert)
        return expert

    return publish


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "known",
    [{}, {"size_bytes": None}, {"sha256": None, "git_blob": hashlib.sha1(b"blob 25600\0" + CONTENT).hexdigest()}],
    ids=["sha256", "unknown size", "git blob"],
)
def test_it_comes_under_its_own_name(hub, folder, publish, known):
    expert = publish(**known)
    assert absent_experts(["vgg16", "vgg16"]) == [expert]
    assert fetch_expert(expert, SilentProgress()) == folder / "ours.pth"
    assert require_expert("vgg16").read_bytes() == CONTENT
    assert listed(folder) == ["ours.pth"]
    assert absent_experts(["vgg16"]) == []
    assert {request.token for request in hub.requests} == {None}, "a token of the hub belongs to the hub alone"


def test_publishers_send_on_to_where_the_file_lies(hub, folder, publish):
    expert = replace(publish(), source=f"{hub.endpoint}/release/ours.pth")
    hub.moved["/release/ours.pth"] = f"{hub.endpoint}/some/one/resolve/main/{FILE}"
    assert fetch_expert(expert, SilentProgress()).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"!", CONTENT + b"!", b""])
def test_what_is_not_the_known_file_is_thrown_away(folder, publish, content):
    expert = publish(content, size_bytes=None)
    with pytest.raises(MissingModelError, match=r"does not hold the ours\.pth that is known"):
        fetch_expert(expert, SilentProgress())
    assert listed(folder) == []


def test_one_of_another_size_is_never_named(folder, publish):
    expert = publish(CONTENT[:-7])
    with pytest.raises(MissingModelError, match="should be of size 25600"):
        fetch_expert(expert, SilentProgress())
    assert "ours.pth" not in listed(folder)


@pytest.mark.parametrize(("size_bytes", "second_starts_at"), [(len(CONTENT), 9000), (None, 0)])
def test_a_broken_connection_is_continued_or_begun_again(hub, folder, publish, size_bytes, second_starts_at):
    expert = publish(size_bytes=size_bytes)
    hub.cut[FILE] = 9000
    with pytest.raises(MissingModelError) as refused:
        fetch_expert(expert, SilentProgress())
    assert refused.value.exit_code == 6
    assert listed(folder) == ["ours.pth.part"]
    hub.down = False
    hub.requests.clear()
    fetch_expert(expert, SilentProgress())
    assert hub.fetched(FILE) == [second_starts_at]
    assert (folder / "ours.pth").read_bytes() == CONTENT


def test_a_whole_part_needs_only_its_name(hub, folder, publish):
    expert = publish()
    folder.mkdir(parents=True)
    (folder / "ours.pth.part").write_bytes(CONTENT)
    fetch_expert(expert, SilentProgress())
    assert hub.requests == []
    assert listed(folder) == ["ours.pth"]


def test_a_full_disk_leaves_no_file_of_that_name(folder, publish, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    expert = publish()
    monkeypatch.setattr("stages.common.hub.download._CountedFile.write", full)
    with pytest.raises(OSError, match="No space left"):
        fetch_expert(expert, SilentProgress())
    assert listed(folder) == ["ours.pth.part"]


def test_a_wrong_file_that_is_here_is_not_overwritten(folder, publish):
    publish()
    folder.mkdir(parents=True)
    (folder / "ours.pth").write_bytes(b"mine")
    with pytest.raises(MissingModelError, match="Delete it, to fetch it again"):
        absent_experts(["vgg16"])


def test_what_cannot_be_fetched_is_told_before_anything_is(folder):
    with pytest.raises(ConfigError, match="unknown expert 'vgg'"):
        absent_experts(["inception", "vgg"])
    with pytest.raises(MissingModelError, match=r"cosface cannot be fetched.*Get it from https://github\.com"):
        absent_experts(["inception", "cosface"])


def test_the_command(capsys, hub, folder, publish):
    publish()
    assert main(["models", "fetch", "vgg16", "--dry-run"]) == 0
    assert "to fetch from" in capsys.readouterr().out
    assert hub.requests == []
    assert main(["models", "fetch", "vgg16"]) == 0
    shown = capsys.readouterr()
    assert f"fetched to {folder / 'ours.pth'}" in shown.out
    assert "BSD-3-Clause" in shown.out
    assert "fetch vgg16: 25600/25600" in shown.err
    assert main(["models", "fetch", "vgg16"]) == 0
    assert "already at" in capsys.readouterr().out
    assert main(["models", "fetch", "vgg16", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["experts"]
    assert (told["name"], told["was_here"], told["path"]) == ("vgg16", True, str(folder / "ours.pth"))
    assert main(["models", "fetch", "other"]) == 2


@pytest.mark.parametrize("how", ["refused", "server error", "offline mode"])
def test_offline_is_one_line_and_6(capsys, hub, folder, publish, monkeypatch, how):
    expert = publish()
    if how == "refused":
        monkeypatch.setitem(EXPERTS, "vgg16", replace(expert, source="http://127.0.0.1:1/x"))
    hub.down = True
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", how == "offline mode")
    assert main(["models", "fetch", "vgg16"]) == 6
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert told.startswith("facediff: ")
    assert listed(folder) in ([], ["ours.pth.part"])
