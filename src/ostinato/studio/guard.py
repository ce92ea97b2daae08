"""Who may ask a studio: pages of the studio itself, under the names that it is known by.

A page of another site that a browser on this machine opens can send requests to this machine, too,
and its name may even be made to lead here (DNS rebinding). So the names in Host and Origin are
checked, and what browsers say of who began a request (Fetch Metadata,
https://www.w3.org/TR/fetch-metadata/, a resource isolation policy as https://secmetadata.appspot.com
has it); answers say that nothing from elsewhere is to be loaded or to frame them.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "is_loopback", "names_of"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")

# plotly.js sets styles and draws from data: addresses
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# what a browser says of requests that no other site began; links from elsewhere are followed
_OWN = ("same-origin", "none")
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there.

    Example:
        >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> frozenset[str] | None:
    """The names by which a server that listens there may be called; None: any address in digits.

    Args:
        host: that it was told to listen at.

    Example:
        >>> sorted(names_of("127.0.0.1"))
        ['127.0.0.1', '::1', 'localhost']
        >>> names_of("0.0.0.0") is None
        True
    """
    try:
        if ipaddress.ip_address(host).is_unspecified:
            return None
    except ValueError:
        pass
    return frozenset({host.lower(), *(LOOPBACK if is_loopback(host) else ())})


class Guard:
    """Around an application: refuses what does not come from its own pages.

    Args:
        app: what is guarded.
        names: that it may be called by (see `names_of`); None: this machine's own name, and any
            address in digits, which nobody can make lead elsewhere.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] | None = LOOPBACK) -> None:
        self.app = app
        self.names = None if names is None else frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        problem = self._problem(Headers(scope=scope))
        if problem:
            refusal = PlainTextResponse(problem, status_code=403, headers=_HEADERS)
            await refusal(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self.app(scope, receive, answer)

    def _problem(self, headers: Headers) -> str:
        host = headers.get("host", "")
        if not self._known(host):
            return (
                f"This studio is not called {_name(host)!r}. Open it under the address that it "
                "printed when it began, or start it with --host and the name you use.\n"
            )
        site = headers.get("sec-fetch-site", "none")
        if site not in _OWN and headers.get("sec-fetch-mode") != "navigate":
            return "Requests of other sites are refused: only the studio's own pages may ask.\n"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return f"Requests from {origin} are refused: only the studio's own pages may ask.\n"
        return ""

    def _known(self, host: str) -> bool:
        name = _name(host)
        if self.names is not None:
            return name in self.names
        return name in (*LOOPBACK, socket.gethostname().lower()) or _is_address(name)


def _name(host: str) -> str:
    """The name in a Host header, without its port.

    Example:
        >>> _name("LocalHost:8765"), _name("[::1]:8765"), _name("::bad::[")
        ('localhost', '::1', '')
    """
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
