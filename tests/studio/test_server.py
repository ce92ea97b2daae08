import contextlib
import socket

import pytest

from ostinato.studio import server
from ostinato.studio.server import PortError, address, listen


def test_the_next_port_is_taken_where_one_is_busy(monkeypatch):
    with listen("127.0.0.1", 0) as busy:
        port = busy.getsockname()[1]
        monkeypatch.setattr(server, "PORT", port)
        with listen("127.0.0.1") as found:
            assert port < found.getsockname()[1] < port + server._PORTS


def test_a_port_that_was_named_is_not_exchanged_for_another():
    with listen("127.0.0.1", 0) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(
            PortError, match=f"Port {port} of 127.0.0.1 is taken.*--port {port + 1}"
        ):
            listen("127.0.0.1", port)


def test_when_all_ports_are_taken_it_says_which(monkeypatch):
    monkeypatch.setattr(server, "_PORTS", 2)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(listen("127.0.0.1", 0))
        port = first.getsockname()[1]
        with contextlib.suppress(PortError):
            stack.enter_context(listen("127.0.0.1", port + 1))
        monkeypatch.setattr(server, "PORT", port)
        with pytest.raises(
            PortError, match=f"Ports {port} to {port + 1} of 127.0.0.1 are all taken"
        ):
            listen("127.0.0.1")


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("no.such.name.invalid", 0, "--host no.such.name.invalid: there is no such name"),
        ("192.0.2.1", 0, "Nothing can listen at 192.0.2.1"),
        ("127.0.0.1", 65536, "must be in 0..65535, got 65536"),
        ("127.0.0.1", -1, "must be in 0..65535, got -1"),
    ],
)
def test_places_where_nobody_can_listen(host, port, message):
    with pytest.raises(PortError, match=message):
        listen(host, port)


def test_the_address_is_one_that_a_browser_can_open():
    with listen("0.0.0.0", 0) as bound:
        url = address(bound, "0.0.0.0")
        assert url == f"http://127.0.0.1:{bound.getsockname()[1]}"
        socket.create_connection(bound.getsockname(), timeout=5).close()
