"""Experts: what is known of them, where their files are found, and that a wrong file is never used."""

import re
import subprocess
import sys
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from stages.common.errors import ConfigError, MissingModelError
from stages.common.experts import EXPERTS, describe_expert, find_expert, require_expert, why_no_expert
from stages.common.hashing import hash_git_blob

HELLO = b"hello\n"
HELLO_SHA256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
HELLO_BLOB = "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The two folders that are searched, empty."""
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folders = tmp_path / "home" / "weights", tmp_path / "torch" / "hub" / "checkpoints"
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


@pytest.fixture
def hello(monkeypatch):
    """An expert whose file says hello."""
    expert = replace(EXPERTS["vgg16"], name="hello", file_name="hello.pth", sha256=HELLO_SHA256)
    monkeypatch.setitem(EXPERTS, "hello", expert)
    return expert


@pytest.mark.parametrize("expert", EXPERTS.values(), ids=EXPERTS)
def test_what_is_known_has_the_form_of_what_it_is(expert):
    assert EXPERTS[expert.name] is expert
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", expert.name)
    assert expert.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", expert.sha256)
    assert expert.git_blob is None or re.fullmatch(r"[0-9a-f]{40}", expert.git_blob)
    assert urlsplit(expert.source).scheme == "https" or expert.sha256
    named = re.search(r"-([0-9a-f]{8})\.pth$", expert.file_name)
    assert named is None or expert.sha256.startswith(named[1])


def test_the_model_store_comes_before_torch_hub(places, hello):
    assert find_expert("hello") is None
    for folder in reversed(places):
        (folder / "hello.pth").write_bytes(HELLO)
        assert find_expert("hello") == require_expert("hello") == folder / "hello.pth"
    assert describe_expert("hello") == f"hello: hello.pth, SHA-256 {HELLO_SHA256}, licence: {hello.licence}"


def test_a_wrong_file_is_not_used_however_often_it_changes(places, hello):
    path = places[0] / "hello.pth"
    for wrong in (b"hullo\n", b"hello", b""):
        path.write_bytes(wrong)
        with pytest.raises(MissingModelError, match=f"has SHA-256 [0-9a-f]+, and should have SHA-256 {HELLO_SHA256}"):
            require_expert("hello")
        assert why_no_expert("hello").endswith("Delete it, to fetch it again")
    path.write_bytes(HELLO)
    assert why_no_expert("hello") == ""


def test_a_file_is_hashed_once(places, hello, monkeypatch):
    asked = []
    monkeypatch.setattr("stages.common.experts.hash_file", lambda path: asked.append(path) or HELLO_SHA256)
    (places[0] / "hello.pth").write_bytes(HELLO)
    for _ in range(3):
        require_expert("hello")
    assert len(asked) == 1


def test_git_knows_a_file_by_its_blob(places, monkeypatch):
    monkeypatch.setitem(EXPERTS, "hsemotion", replace(EXPERTS["hsemotion"], git_blob=HELLO_BLOB))
    path = places[0] / "enet_b2_7.onnx"
    path.write_bytes(HELLO)
    assert hash_git_blob(path) == HELLO_BLOB
    assert HELLO_SHA256 in describe_expert("hsemotion")
    path.write_bytes(HELLO * 2)
    with pytest.raises(MissingModelError, match=f"and should have git blob {HELLO_BLOB}"):
        require_expert("hsemotion")


def test_without_a_checksum_a_file_is_taken_as_it_is(places):
    assert "glint360k_cosface_r100.onnx is neither" in why_no_expert("cosface")
    assert f"Get it from {EXPERTS['cosface'].source} and put it into {places[0]}" in why_no_expert("cosface")
    (places[0] / "glint360k_cosface_r100.onnx").write_bytes(HELLO)
    assert HELLO_SHA256 in describe_expert("cosface")


def test_what_is_missing_names_the_command_that_fetches_it(places):
    assert why_no_expert("inception").endswith("Run `facediff models fetch inception`")
    with pytest.raises(ConfigError, match=r"unknown expert 'incepton'\. Known: inception, vgg16"):
        find_expert("incepton")


def test_looking_for_an_expert_loads_no_torch(places):
    look = "from stages.common.experts import find_expert; find_expert('vgg16')"
    subprocess.run([sys.executable, "-c", f"import sys; {look}; sys.exit('torch' in sys.modules)"], check=True)
