"""The application: the Open Inference Protocol, explanations, plans and counts, over HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import fairuse_router
from fairuse_router.documents import write_json
from fairuse_router.serving.counts import Counts
from fairuse_router.serving.models import VERSION, Served
from fairuse_router.serving.tensors import (
    HEADER,
    BadRequest,
    read_inference,
    read_object,
    write_inference,
)

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
    from starlette.routing import Route
except ImportError as error:
    raise ImportError(
        'serving needs Starlette and uvicorn: pip install "fairuse-router[serve]".'
    ) from error

LOG = logging.getLogger("fairuse_router.access")
_Answer = Callable[["_Serving", Request], Awaitable[Response]]


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Parameters
    ----------
    max_bytes : int, default=16777216
        Of a body.
    max_rows : int, default=10000
        Rows to predict at once.
    max_people : int, default=100
        Rows to explain at once.
    timeout : float, default=10.0
        Seconds to send a request in.
    """

    max_bytes: int = 2**24
    max_rows: int = 10_000
    max_people: int = 100
    timeout: float = 10.0


def make_app(
    models: Mapping[str, Served], limits: Limits | None = None, min_cell: int = 5
) -> Starlette:
    """Make the application that serves bundles.

    Parameters
    ----------
    models : mapping of str to Served
        As `load_models` opens them.
    limits : Limits, default=None
    min_cell : int, default=5
        Counters of rows grow in steps of this.

    Returns
    -------
    Starlette
        An ASGI application, for uvicorn or any other server; the logger ``fairuse_router.access``
        says what was asked, never of whom.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> from fairuse_router.serving.models import load_models
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/heart.onnx", X)
    ...     app = make_app(load_models([f"{folder}/heart.onnx"]))
    >>> [route.path for route in app.routes if "infer" in route.path]
    ['/v2/models/{model}/infer', '/v2/models/{model}/versions/{version}/infer']
    """
    serving = _Serving(dict(models), limits or Limits(), Counts(min_cell))
    model = "/v2/models/{model}"
    addresses: list[tuple[str, str, _Answer]] = [
        ("/v2", "GET", _server),
        ("/v2/health/live", "GET", _live),
        ("/v2/health/ready", "GET", _live),
        *((f"{m}", "GET", _metadata) for m in (model, f"{model}/versions/{{version}}")),
        *((f"{m}/ready", "GET", _ready) for m in (model, f"{model}/versions/{{version}}")),
        *((f"{m}/infer", "POST", _infer) for m in (model, f"{model}/versions/{{version}}")),
        *((f"{m}explain", "POST", _explain) for m in ("/", f"{model}/")),
        *((f"{m}plan", "GET", _plan) for m in ("/", f"{model}/")),
        *((f"{m}plan", "POST", _next_question) for m in ("/", f"{model}/")),
        ("/metrics", "GET", _metrics),
    ]
    routes = [
        Route(path, serving.answering(path, answer), methods=[method])
        for path, method, answer in addresses
    ]
    handlers: Any = {HTTPException: serving.refuse}
    return Starlette(routes=routes, exception_handlers=handlers)


@dataclass(frozen=True)
class _Serving:
    """What every answer needs."""

    models: dict[str, Served]
    limits: Limits
    counts: Counts

    def answering(self, path: str, answer: _Answer) -> Callable[[Request], Awaitable[Response]]:
        """Return an answer whose errors are of the protocol's form; it is counted and logged."""

        async def endpoint(request: Request) -> Response:
            start = time.perf_counter()
            try:
                response = await answer(self, request)
            except HTTPException as error:
                response = _error(error.status_code, str(error.detail))
            except (ValueError, TypeError) as error:
                response = _error(400, str(error))
            except ClientDisconnect:
                response = _error(400, "the connection was closed before the request was whole")
            except Exception as error:
                LOG.error("%s failed: %s", path, type(error).__name__)
                response = _error(500, "internal error")
            self.counts.answered(path, response.status_code)
            milliseconds = 1000 * (time.perf_counter() - start)
            LOG.info("%s %s %d %.1f ms", request.method, path, response.status_code, milliseconds)
            return response

        return endpoint

    async def refuse(self, request: Request, error: HTTPException) -> Response:
        """Answer what has no address, or another method; the address itself is not logged."""
        self.counts.answered("other", error.status_code)
        LOG.info("%s (no such address) %d", request.method, error.status_code)
        return _error(error.status_code, str(error.detail), dict(error.headers or {}))

    def model(self, request: Request) -> Served:
        """The model that is asked; where there is one alone it need not be named."""
        name = request.path_params.get("model")
        if name is None:
            if len(self.models) > 1:
                raise HTTPException(404, f"name one of the models: {', '.join(self.models)}")
            return next(iter(self.models.values()))
        version = request.path_params.get("version", VERSION)
        if name not in self.models or version != VERSION:
            raise HTTPException(404, f"there is no such model; there are {', '.join(self.models)}")
        return self.models[name]

    async def body(self, request: Request) -> bytes:
        """The body of a request that is neither too large nor too slow."""
        most = self.limits.max_bytes
        too_large = HTTPException(413, f"the body has more than {most:,} bytes")
        told = request.headers.get("content-length", "0")
        stream = request.stream()
        if told.isdigit() and int(told) > most:
            await _discard(stream, 8 * most)
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.timeout):
                async for part in stream:
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        await _discard(stream, 8 * most)
                        raise too_large
        except TimeoutError:
            seconds = f"{self.limits.timeout:g}"
            raise HTTPException(408, f"the body took more than {seconds} seconds") from None
        return b"".join(parts)


async def _discard(stream: AsyncIterator[bytes], most: int) -> None:
    """Take what is on its way, for a second: who is still sending does not hear of a refusal."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            async for part in stream:
                most -= len(part)
                if most < 0:
                    return


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(write_json(data), status, headers, "application/json")


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """An error as the protocol writes it; where the body was not read, the connection ends."""
    close = {"connection": "close"} if status in (408, 413) else {}
    return _json({"error": text}, status, {**(headers or {}), **close})


async def _server(serving: _Serving, request: Request) -> Response:
    extensions = ["binary_tensor_data"]
    return _json(
        {"name": "fairuse-router", "version": fairuse_router.__version__, "extensions": extensions}
    )


async def _live(serving: _Serving, request: Request) -> Response:
    """The bundles are open before the first request is."""
    which = request.url.path.rsplit("/", 1)[-1]
    return _json({which: True})


async def _metadata(serving: _Serving, request: Request) -> Response:
    return _json(serving.model(request).metadata())


async def _ready(serving: _Serving, request: Request) -> Response:
    return _json({"name": serving.model(request).name, "ready": True})


async def _infer(serving: _Serving, request: Request) -> Response:
    served = serving.model(request)
    body = await serving.body(request)
    header = request.headers.get(HEADER)

    def work() -> Response:
        asked = read_inference(body, header, served.bundle, serving.limits.max_rows)
        served.bundle.layout.check_tensors(asked.feed)
        answer = served.bundle.ask(asked.feed)
        serving.counts.served(served.name, served.bundle, asked.feed["report"], answer["route"])
        content, headers = write_inference(served.name, VERSION, asked, answer)
        return Response(content, headers=headers)

    return await run_in_threadpool(work)


async def _explain(serving: _Serving, request: Request) -> Response:
    """``{"rows": [{column: value, ...}, ...]}``: what each is told, and what telling did."""
    bundle = serving.model(request).bundle
    rows = read_object(await serving.body(request)).get("rows")
    most = serving.limits.max_people
    if not isinstance(rows, list) or not 1 <= len(rows) <= most:
        raise BadRequest(f"rows is no list of 1 to {most} people")
    if bundle.layout.names is None:
        rows = [_in_order(row, bundle.layout.width) for row in rows]
    elif not all(isinstance(row, dict) for row in rows):
        raise BadRequest(f"rows holds other than objects with the columns {bundle.layout.names}")
    explanation = await run_in_threadpool(bundle.explain, rows)
    return _json({**explanation.to_dict(), "text": str(explanation)})


def _in_order(row: Any, width: int) -> list[Any]:
    """A row of a table whose columns have no names."""
    if not isinstance(row, list) or len(row) != width:
        raise BadRequest(f"rows holds other than lists of {width} values")
    return row


async def _plan(serving: _Serving, request: Request) -> Response:
    table = serving.model(request).bundle.routing_table
    return _json(await run_in_threadpool(lambda: table.disclosure_plan().to_dict()))


async def _next_question(serving: _Serving, request: Request) -> Response:
    """``{"answers": {attribute: level, ...}}``: the next question, or the route."""
    table = serving.model(request).bundle.routing_table
    answers = read_object(await serving.body(request)).get("answers")
    if not isinstance(answers, dict):
        raise BadRequest("answers is no object of attribute to level")
    step = await run_in_threadpool(lambda: table.disclosure_plan().next(answers))
    return _json(dict(vars(step)))


async def _metrics(serving: _Serving, request: Request) -> Response:
    return Response(serving.counts.to_text(), media_type="text/plain; version=0.0.4")
