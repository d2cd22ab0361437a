"""The server of a study: to this machine only, the page only, and valid answers only."""

import http.client
import json
import threading

import pytest
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts
from support.study import answer_form

from stages.common.errors import BadInputError, ConfigError
from stages.study.key import Comparison
from stages.study.server import StudyServer

JSON = {"Content-Type": "application/json"}


def decide(question):
    return "left" if isinstance(question, Comparison) else "sad"


@pytest.fixture
def loopback():
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
    yield
    disable_socket(allow_unix_socket=True)


@pytest.fixture
def server(study, tmp_path, loopback):
    stop = threading.Event()
    with StudyServer(study, tmp_path / "answers", 0) as running:
        thread = threading.Thread(target=running.serve_until, args=(stop.is_set,))
        thread.start()
        yield running
        stop.set()
        thread.join()


@pytest.fixture
def ask(server):
    def ask(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        found = reply.status, dict(reply.headers), reply.read()
        connection.close()
        return found

    return ask


def test_the_page_is_served_and_nothing_beside_it(ask, study):
    for name, kind in (("index.html", "text/html"), ("page.js", "text/javascript"), ("style.css", "text/css")):
        status, headers, body = ask("GET", f"/{name}")
        assert (status, body) == (200, study.path(f"page/{name}").read_bytes())
        assert headers["Content-Type"].startswith(kind)
        assert headers["X-Content-Type-Options"] == "nosniff"
    picture = next(study.path("page/pictures").iterdir())
    assert ask("GET", f"/pictures/{picture.name}?x=1")[2] == picture.read_bytes()
    for path in ("/key.json", "/../key.json", "/%2e%2e/key.json", "/manifest.json", "/pictures/", "/answers"):
        assert ask("GET", path)[0] == 404


def test_forms_are_handed_out_in_turn(ask, server, key, study, tmp_path):
    places = [ask("GET", "/")[1]["Location"] for _ in range(5)]
    assert places == [f"/index.html?form={form}" for form in (0, 1, 2, 3, 0)]
    server.desk.take_in(answer_form(key, 0, decide))
    with StudyServer(study, tmp_path / "answers", 0) as later:
        assert [later.desk.next_form() for _ in range(4)] == [1, 2, 3, 0], "form 0 was answered already"


def test_answers_are_kept_once(ask, key, tmp_path):
    content = answer_form(key, 2, decide, participant=7)
    assert ask("POST", "/answers", content, JSON)[0] == 201
    (kept,) = (tmp_path / "answers").iterdir()
    assert (kept.name, kept.read_bytes()) == (f"{7:032x}.json", content)
    assert ask("POST", "/answers", content, JSON)[0] == 201, "a browser may send again what it sent"
    assert ask("POST", "/answers", answer_form(key, 1, decide, participant=7), JSON)[0] == 409
    assert kept.read_bytes() == content


def test_what_is_refused(ask, key, server, tmp_path):
    content = answer_form(key, 2, decide)
    other = json.dumps({**json.loads(content), "study": "x"})
    host = {"Host": f"evil.example:{server.server_port}"}
    assert ask("POST", "/answers", other, JSON)[0] == 400
    assert b"another study" in ask("POST", "/answers", other, JSON)[2]
    assert ask("POST", "/answers", content, {"Content-Type": "text/plain"})[0] == 415
    assert ask("POST", "/answers", b"", {**JSON, "Content-Length": "-1"})[0] == 411
    assert ask("POST", "/answers", b"", {**JSON, "Content-Length": str(2 << 20)})[0] == 413
    assert ask("POST", "/elsewhere", content, JSON)[0] == 404
    assert ask("POST", "/answers", content, {**JSON, **host})[0] == 421
    assert ask("GET", "/index.html", headers=host)[0] == 421
    assert ask("DELETE", "/index.html")[0] == 501
    assert not list((tmp_path / "answers").iterdir())


def test_only_this_machine_is_served(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_taken_port_a_damaged_study_and_foreign_answers(server, study, key, tmp_path):
    with pytest.raises(ConfigError, match=f"port {server.server_port} cannot be used: Address already in use"):
        StudyServer(study, tmp_path / "answers", server.server_port)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "x.json").write_text("{}")
    with pytest.raises(BadInputError, match=r"x.json does not hold answers"):
        StudyServer(study, tmp_path / "others", 0)
    study.path("page/page.js").write_text("changed")
    with pytest.raises(BadInputError, match=r"is damaged: page/page.js"):
        StudyServer(study, tmp_path / "answers", 0)
