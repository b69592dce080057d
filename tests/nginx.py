"""A real nginx under test, in front of a server.

What belongs here: starting and ending it. What does not: the sample of its configuration,
docs/nginx.conf.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .needs import needs
from .server import ROOT, free_port, until
from .wire import TIMEOUT

SAMPLE = ROOT / "docs" / "nginx.conf"

_MAIN = """
{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def needs_nginx() -> str:
    """Return where nginx is; without it skip, or fail where CI=true says that it must be there."""
    return needs("nginx", also="/usr/sbin")


@contextmanager
def nginx(
    folder: Path, server_port: int, replaced: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run nginx with the sample before ``server_port``; yield its own port.

    ``replaced``: what the line that begins so in the sample shall be instead; "" takes it out.
    """
    needs_nginx()
    port = free_port()
    site = _put(SAMPLE.read_text(), "server 127.0.0.1:8000;", f"server 127.0.0.1:{server_port};")
    site = _put(site, "listen 80;", f"listen 127.0.0.1:{port};")
    for begin, value in (replaced or {}).items():
        line = next(line for line in site.splitlines() if line.strip().startswith(begin))
        site = _put(site, line, value)
    with nginx_site(folder, site, port):
        yield port


@contextmanager
def nginx_site(folder: Path, site: str, port: int) -> Iterator[None]:
    """Run nginx with these lines of a site, which listens on ``port``."""
    program = needs_nginx()
    folder.mkdir(exist_ok=True)
    (folder / "site.conf").write_text(site)
    user = "" if os.geteuid() else "user root;"  # else it may not enter the tests' own folder
    (folder / "main.conf").write_text(_MAIN.format(folder=folder, user=user))
    command = [program, "-c", str(folder / "main.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command)
    try:
        until(lambda: process.poll() is not None or accepts(port), "nginx accepts")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _put(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} is not once in {SAMPLE}"
    return text.replace(old, new)


def accepts(port: int) -> bool:
    """Tell whether something on this machine listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
