"""What stands between a page and the server: real proxies, and bad ones of our own.

What belongs here: their configurations, and starting and ending them. What does not: which of them
makes which network (``networks``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ..needs import needs
from ..nginx import accepts, nginx_site
from ..server import ROOT, free_port, until
from ..wire import TIMEOUT
from .bad_line import Weather
from .bad_proxy import Faults

HAPROXY_SAMPLE = ROOT / "docs" / "haproxy.cfg"

#: What a tutorial's three lines make of nginx.
_NGINX_DEFAULT = """
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{server_port}; }}
}}
"""
#: Stores whatever is got, for a second; answers and asks with ETags that gzip has made weak.
_NGINX_CACHE = """
proxy_cache_path {folder}/cache keys_zone=stored:1m;
server {{
    listen 127.0.0.1:{port};
    gzip on; gzip_min_length 1; gzip_types application/json text/event-stream;
    location / {{
        proxy_pass http://127.0.0.1:{server_port};
        proxy_cache stored;
        proxy_cache_valid 200 1s;
        proxy_cache_revalidate on;
        proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Buffering;
    }}
}}
"""
#: What a careful person writes who has never heard of tunnels.
_HAPROXY_TIMEOUTS = """
defaults
    mode http
    timeout connect 5s
    timeout client {seconds}s
    timeout server {seconds}s
listen pushapp
    bind 127.0.0.1:{port}
    server one 127.0.0.1:{server_port}
"""


class Program:
    """A program that listens on one port; it may be paused, ended and started again."""

    def __init__(self, port: int, command: Sequence[str]) -> None:
        self.port, self.command = port, command
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.DEVNULL)
        try:
            until(lambda: self._process.poll() is not None or accepts(self.port), "it accepts")
            assert self._process.poll() is None, f"it has ended: {self.command}"
        except BaseException:
            self.end()
            raise

    def pause(self) -> None:
        """Let all that comes wait, for ever: nothing is refused and nothing answered."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def end(self) -> None:
        """Cut what is open, and refuse what comes."""
        self._process.kill()
        self._process.wait(TIMEOUT)


@contextmanager
def _running(port: int, command: Sequence[str]) -> Iterator[Program]:
    program = Program(port, command)
    try:
        yield program
    finally:
        program.end()


class BadProxy(Program):
    """The proxy with these faults."""

    def __init__(self, server_port: int, faults: Faults) -> None:
        self._server_port, port = server_port, free_port()
        super().__init__(port, self._with(port, faults))

    def become(self, faults: Faults) -> None:
        """Cut what is open; from now on it has these faults."""
        self.end()
        self.command = self._with(self.port, faults)
        self.start()

    def _with(self, port: int, faults: Faults) -> list[str]:
        arguments = [str(port), str(self._server_port), json.dumps(asdict(faults))]
        return [sys.executable, "-m", "tests.networks.bad_proxy", *arguments]


@contextmanager
def bad_proxy(server_port: int, faults: Faults) -> Iterator[BadProxy]:
    """Run the proxy with these faults."""
    proxy = BadProxy(server_port, faults)
    try:
        yield proxy
    finally:
        proxy.end()


@contextmanager
def bad_line(server_port: int, weather: Weather) -> Iterator[Program]:
    """Run a line with this weather."""
    port = free_port()
    arguments = [str(port), str(server_port), json.dumps(asdict(weather))]
    with _running(port, [sys.executable, "-m", "tests.networks.bad_line", *arguments]) as program:
        yield program


@contextmanager
def nginx_default(folder: Path, server_port: int) -> Iterator[int]:
    """Run nginx with ``proxy_pass`` and nothing else."""
    port = free_port()
    with nginx_site(folder, _NGINX_DEFAULT.format(port=port, server_port=server_port), port):
        yield port


@contextmanager
def nginx_cache(folder: Path, server_port: int) -> Iterator[int]:
    """Run nginx as a cache that stores what it was asked not to."""
    port = free_port()
    site = _NGINX_CACHE.format(folder=folder, port=port, server_port=server_port)
    with nginx_site(folder, site, port):
        yield port


@contextmanager
def haproxy_timeouts(folder: Path, server_port: int, seconds: int) -> Iterator[Program]:
    """Run haproxy with these timeouts and no other."""
    port = free_port()
    text = _HAPROXY_TIMEOUTS.format(port=port, server_port=server_port, seconds=seconds)
    with _haproxy(folder, text, port) as program:
        yield program


@contextmanager
def haproxy_documented(folder: Path, server_port: int) -> Iterator[Program]:
    """Run haproxy with the sample, docs/haproxy.cfg."""
    port, text = free_port(), HAPROXY_SAMPLE.read_text()
    for old, new in (
        ("bind :80", f"bind 127.0.0.1:{port}"),
        ("127.0.0.1:8000", f"127.0.0.1:{server_port}"),
    ):
        assert text.count(old) == 1, f"{old!r} is not once in {HAPROXY_SAMPLE}"
        text = text.replace(old, new)
    with _haproxy(folder, text, port) as program:
        yield program


@contextmanager
def _haproxy(folder: Path, text: str, port: int) -> Iterator[Program]:
    program = needs("haproxy", also="/usr/sbin")
    folder.mkdir(exist_ok=True)
    (folder / "haproxy.cfg").write_text(text)
    with _running(port, [program, "-db", "-q", "-f", str(folder / "haproxy.cfg")]) as running:
        yield running
