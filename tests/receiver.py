"""A webhook's receiver: a small HTTP server that remembers, and answers as it is told to.

What belongs here: what an app's own server does. What does not: what is right (the tests say it).
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from pushapp import verify_webhook

from .wire import TIMEOUT

SECRET = "a-secret-of-the-webhooks-of-the-tests"


class Receiver:
    """Takes webhooks at ``url``; ``batches`` holds those that it has acknowledged, verified."""

    def __init__(self, certificate: Path | None = None, port: int = 0) -> None:
        """``certificate``: with its key in one PEM file, for https."""
        #: A status, or whatever bytes; None: no answer at all.
        self.answer: Callable[[], int | bytes | None] = lambda: 200
        self.headers: dict[str, str] = {}  # of its answers
        self.tried: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.batches: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                batch = verify_webhook(body, self.headers, SECRET)
                receiver.paths.append(self.path)
                receiver.tried.put(batch)
                status = receiver.answer()
                if status is None:
                    return
                if isinstance(status, bytes):
                    self.wfile.write(status)
                    return
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if 200 <= status < 300:
                    receiver.batches.put(batch)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            context, scheme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "https"
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/hook?who=tests"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def events(self, wanted: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
        """Wait until the events that came since the last call are as ``wanted``; return them."""
        events: list[dict[str, Any]] = []
        while not wanted(events):
            try:
                events += self.batches.get(timeout=2 * TIMEOUT)["events"]
            except Empty:
                raise AssertionError(f"not what was wanted: {events}") from None
        return events

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(TIMEOUT)
