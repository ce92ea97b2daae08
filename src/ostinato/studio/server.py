"""From runs to a server that a browser can open."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Any

from ostinato.extras import needed

__all__ = ["PORT", "PortError", "address", "listen", "serve"]

PORT = 8765
_PORTS = 20


class PortError(OSError):
    """No port could be had; the message says which was asked for and what to do."""


def listen(host: str, port: int | None = None) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or address of this machine.
        port: which; 0: any that is free; None: `PORT`, or the first free one of the next.

    Raises:
        PortError: the port is taken, or not allowed, or the host is not of this machine.
    """
    if port is not None and not 0 <= port <= 65535:
        raise PortError(f"--port must be in 0..65535, got {port}. Leave it out, or give another.")
    if port is not None:
        return _bound(host, port)
    for offset in range(_PORTS):
        bound = _free(host, PORT + offset)
        if bound is not None:
            return bound
    raise PortError(
        f"Ports {PORT} to {PORT + _PORTS - 1} of {host} are all taken. Stop what listens there, "
        "or name a free one: --port 0 takes any."
    )


def _free(host: str, port: int) -> socket.socket | None:
    try:
        return _bound(host, port)
    except PortError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            return None
        raise


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise PortError(
            f"--host {host}: there is no such name ({error.strerror}). Leave it out for this "
            "machine alone, or give 0.0.0.0 for all its networks."
        ) from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen()
    except OSError as error:
        bound.close()
        raise PortError(_refused(host, port, error)) from error
    return bound


def _refused(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken: another program listens there, perhaps another "
            f"studio. Stop it, or name another port: --port {min(port + 1, 65535)}, or 0 for any "
            "that is free."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs rights that you do not have. Name one above 1023: --port {PORT}."
    return (
        f"Nothing can listen at {host}, port {port} ({error.strerror}). Give a name or address of "
        "this machine, or leave --host out."
    )


def address(bound: socket.socket, host: str) -> str:
    """What a browser is to open.

    Example:
        >>> with listen("127.0.0.1", 0) as bound:
        ...     print(address(bound, "127.0.0.1"))
        http://127.0.0.1:...
    """
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{bound.getsockname()[1]}"


def serve(app: Any, bound: socket.socket, *, ready: Callable[[], None] | None = None) -> None:
    """Answer requests until Ctrl-C.

    Args:
        app: what answers.
        bound: as `listen` gave it; closed at the end.
        ready: called once requests can be answered.

    Raises:
        MissingExtraError: uvicorn is missing; the message says what to install.
    """
    needed("uvicorn", extra="studio", why="Live pages")
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if ready is not None and self.started:
                ready()

    # streams of a page that stays open must not keep the server from ending
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, lifespan="off"
    )
    # that is how one ends it
    with bound, contextlib.suppress(KeyboardInterrupt):
        Server(config).run(sockets=[bound])
