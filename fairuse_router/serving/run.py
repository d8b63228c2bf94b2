"""Running the application: one process, stopped gracefully, patient with nobody who dawdles."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fairuse_router.documents import write_json
from fairuse_router.serving.app import Limits, make_app
from fairuse_router.serving.models import load_models

try:
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise ImportError(
        'serving needs Starlette and uvicorn: pip install "fairuse-router[serve]".'
    ) from error


def serve(
    paths: Sequence[str | os.PathLike[str]],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    limits: Limits | None = None,
    min_cell: int = 5,
    threads: int | None = None,
) -> None:
    """Serve bundles until the process is told to stop.

    On SIGTERM or SIGINT no new connection is taken, requests that are being answered are, and the
    function returns.

    Parameters
    ----------
    paths : sequence of str or path
        Files, and folders of them.
    host : str, default="127.0.0.1"
        The address to listen on; by default this machine alone is heard.
    port : int, default=8080
        0 takes a free one, which is said.
    limits : Limits, default=None
    min_cell : int, default=5
        Counters of rows grow in steps of this.
    threads : int, default=None
        Threads of each bundle; None leaves it to ONNX Runtime.

    Raises
    ------
    ValueError
        If there is no bundle, or one cannot be read.
    OSError
        If the port is taken.

    Examples
    --------
    >>> import tempfile
    >>> import threading
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> stop = threading.Timer(3, signal.raise_signal, [signal.SIGINT])  # as Ctrl-C does
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/heart.onnx", X)
    ...     stop.start()
    ...     serve([f"{folder}/heart.onnx"], port=0)
    Serving http://127.0.0.1:.../v2
    """
    limits = limits or Limits()
    app = make_app(load_models(paths, threads), limits, min_cell)
    config = uvicorn.Config(
        app,
        http=_impatient(limits.timeout),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=max(1, round(limits.timeout)),
        timeout_graceful_shutdown=max(1, round(limits.timeout)),
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends answers at once (TCP_NODELAY) where the socket says that it is of TCP
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        if os.name == "posix":  # on Windows it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # whoever reads the next line may call at once
        told = f"[{host}]" if ":" in host else host
        print(f"Serving http://{told}:{listening.getsockname()[1]}/v2", flush=True)
        with _stopped_by_signals():
            uvicorn.Server(config).run([listening])


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let the signals that stop the server do no more: uvicorn raises them again at its end."""
    asked = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(which, lambda *_: None) for which in asked]
    try:
        yield
    finally:
        for which, handler in zip(asked, before, strict=True):
            signal.signal(which, handler)


def _impatient(seconds: float) -> type[H11Protocol]:
    """A protocol that ends connections whose request line and headers take too long."""

    class Impatient(H11Protocol):
        """HTTP/1.1, whose errors are of the protocol's form."""

        _timer: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            fresh = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:  # the headers are here
                self._timer.cancel()
            elif fresh:  # of a next request, a part of the headers
                self._timer.cancel()
                self._timer = self.loop.call_later(seconds, self._give_up)

        def _give_up(self) -> None:
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                if self.conn.trailing_data[0]:
                    self._answer(408, f"the request took more than {seconds:g} seconds")
                self.transport.close()

        def send_400_response(self, msg: str) -> None:
            self._answer(400, msg)
            self.transport.close()

        def _answer(self, status: int, text: str) -> None:
            body = write_json({"error": text}).encode()
            reason = {400: "Bad Request", 408: "Request Timeout"}[status]
            head = (
                f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)

    return Impatient
