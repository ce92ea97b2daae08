"""The application: which address gives which page, and what its scripts may ask."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ostinato.extras import MissingExtraError
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.guard import LOOPBACK, Guard
from ostinato.studio.library import Library, UnknownRunError
from ostinato.studio.pages import Pages
from ostinato.studio.questions import Questions

__all__ = ["studio_app"]

# bytes of a request: a table or file as large as may be, and some settings
_MOST_BYTES = 24_000_000

_STATIC = Path(__file__).parent / "static"


def studio_app(library: Library, *, names: Iterable[str] | None = LOOPBACK) -> Starlette:
    """The application that shows runs.

    Args:
        library: the runs that may be shown.
        names: under which it may be asked; see `Guard`.

    Example:
        >>> from starlette.testclient import TestClient
        >>> client = TestClient(studio_app(Library([])), base_url="http://localhost")
        >>> client.get("/api/curves").json()["runs"]
        []
    """
    questions = Questions(library)
    pages = Pages(library, questions)
    routes = [
        Route("/", _page(pages.curves)),
        Route("/runs/{key}", _page(pages.run)),
        Route("/runs/{key}/read", _page(pages.read)),
        Route("/runs/{key}/write", _page(pages.write)),
        Route("/runs/{key}/inside", _page(pages.inside)),
        Route("/runs/{key}/diagrams", _page(pages.diagrams)),
        Route("/api/curves", _asked_by_address(questions.curves)),
        Route("/api/runs/{key}/read", _asked(questions.read), methods=["POST"]),
        Route("/api/runs/{key}/open", _asked(questions.open), methods=["POST"]),
        Route("/api/runs/{key}/view", _asked(questions.view), methods=["POST"]),
        Route("/api/runs/{key}/inside", _asked(questions.inside), methods=["POST"]),
        Route("/api/runs/{key}/write", _streamed(questions.write), methods=["POST"]),
        Route("/static/plotly.min.js", _plotly),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    kinds: tuple[type[Exception], ...] = (
        UnknownRunError,
        HTTPException,
        MissingExtraError,
        ValueError,
        Exception,
    )

    def explain(request: Request, error: Exception) -> Response:
        return _explained(pages, request, error)

    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, names=names)],
        exception_handlers=dict.fromkeys(kinds, explain),
    )
    app.state.library = library
    return app


Endpoint = Callable[[Request], Awaitable[Response]]


def _page(make: Callable[..., str]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        asked = Asked(request.query_params)
        text = await run_in_threadpool(make, asked=asked, **request.path_params)
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    return endpoint


def _asked_by_address(answer: Callable[..., Any]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        asked = Asked(request.query_params)
        return _told(await run_in_threadpool(answer, asked=asked, **request.path_params))

    return endpoint


def _asked(answer: Callable[..., Any]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        asked = Asked.parse(await _body(request))
        return _told(await run_in_threadpool(answer, asked=asked, **request.path_params))

    return endpoint


def _streamed(answer: Callable[..., Iterator[Mapping[str, Any]]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        asked = Asked.parse(await _body(request))
        # what is wrong with the request is said here, before the stream begins
        events = await run_in_threadpool(answer, asked=asked, **request.path_params)
        return StreamingResponse(
            (f"data: {json.dumps(event)}\n\n" for event in events),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )

    return endpoint


def _told(result: Any) -> Response:
    return JSONResponse(result, headers={"cache-control": "no-store"})


async def _body(request: Request) -> bytes:
    # of this type, a page of another site cannot send anything without being let
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        raise HTTPException(415, f"Send application/json, not {kind or 'nothing'!r}.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, f"Send {_MOST_BYTES:,} bytes at most.")
    return body


async def _plotly(request: Request) -> Response:
    """plotly.js, as the Python package of plotly brings it."""
    try:
        import plotly
    except ModuleNotFoundError:
        raise MissingExtraError(
            'Live pages need plotly, which is not installed. Run: pip install "ostinato[studio]"'
        ) from None
    script = resources.files(plotly) / "package_data" / "plotly.min.js"
    return FileResponse(
        str(script),
        media_type="text/javascript",
        # its address has the version in it
        headers={"cache-control": "max-age=31536000, immutable"},
    )


def _explained(pages: Pages, request: Request, error: Exception) -> Response:
    status, message = _in_words(error)
    if request.url.path.startswith(("/api/", "/static/")):
        return JSONResponse({"error": message}, status_code=status)
    return HTMLResponse(pages.problem(status, message), status_code=status)


def _in_words(error: Exception) -> tuple[int, str]:
    if isinstance(error, UnknownRunError):
        return 404, str(error.args[0])
    if isinstance(error, HTTPException):
        told = {404: "There is no such page.", 405: "That cannot be asked in this way."}
        return error.status_code, told.get(error.status_code, error.detail)
    if isinstance(error, AskedError):
        return 400, str(error)
    if isinstance(error, ValueError):
        return 422, str(error)
    if isinstance(error, MissingExtraError):
        return 501, str(error)
    return 500, (
        f"{type(error).__name__}: {error}. This is a fault in Ostinato, not in what you asked; the "
        "terminal that it was started from has the details."
    )
