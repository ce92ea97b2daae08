import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ostinato.studio.guard import LOOPBACK, Guard, names_of


def ask(names=LOOPBACK, **headers):
    app = Guard(Starlette(routes=[Route("/", lambda request: PlainTextResponse("in"))]), names)
    return TestClient(app, base_url="http://127.0.0.1:8765").get("/", headers=headers)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765"])
def test_its_own_names_open_the_door(host):
    answer = ask(host=host)
    assert (answer.status_code, answer.text) == (200, "in")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:8765", "10.0.0.1", "", "[::"]
)
def test_other_names_do_not(host):
    answer = ask(host=host)
    assert answer.status_code == 403
    assert "start it with --host and the name you use" in answer.text
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8765", 200),
        ("http://evil.example", 403),
        ("http://127.0.0.1:9999", 403),
        ("null", 403),
    ],
)
def test_only_its_own_pages_may_ask(origin, status):
    assert ask(origin=origin).status_code == status


def test_on_all_networks_addresses_in_digits_and_its_own_name_open_the_door():
    assert names_of("0.0.0.0") is names_of("::") is None
    for host in ("192.168.1.7:8765", "[fe80::1]:80", "localhost", socket.gethostname()):
        assert ask(None, host=host).status_code == 200
    for host in ("evil.example", "192.168.1.7.evil.example", ""):
        assert ask(None, host=host).status_code == 403


def test_a_name_that_was_given_is_known_alone():
    names = names_of("Box.lan")
    assert ask(names, host="box.lan:80").status_code == 200
    assert ask(names, host="localhost").status_code == 403
