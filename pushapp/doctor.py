"""Looks at this machine and says in plain words what to change.

What belongs here: what can be told without a server: limits, packages, gunicorn's settings, a log
in a file. What does not: a log on Valkey or Redis (``doctor_redis``), what a proxy does to a
server's answers (``doctor_web``).
"""

from __future__ import annotations

import os
import re
import resource
import runpy
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil

from . import doctor_redis
from .broker import open_broker
from .errors import PushError, SettingsError
from .finding import Finding, State
from .settings import FDS_RESERVED, Settings, load

_NEEDED = {
    "gunicorn": "26.2",
    "gevent": "24.10.1",
    "packaging": "0",  # gunicorn's gevent worker imports it and does not require it
    "flask": "3.0",
    "flask-sock": "0.7",
}
_PATCHED = ("socket", "ssl", "select", "threading", "time")
_HOOKS = ("post_worker_init", "pre_request", "post_request", "worker_exit")
_BACKLOG = 4096  # as in gunicorn_conf
_CONFIG = Path("gunicorn.conf.py")
_OURS = "let gunicorn.conf.py begin with: from pushapp.gunicorn_conf import *"
_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
#: SQLite's WAL needs memory shared by all its processes, and locks that work.
_REMOTE = ("nfs", "cifs", "smb", "9p", "ceph", "glusterfs", "lustre", "fuse.", "afs", "virtiofs")


def look(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Return the findings about this machine, as they are made."""
    settings, finding = _settings(environ)
    yield finding
    asked = _number(environ, "PUSH_MAX_CONNECTIONS", Settings().max_connections)
    yield fds(settings, asked, *resource.getrlimit(resource.RLIMIT_NOFILE))
    yield from _packages()
    yield patching()
    yield gunicorn_settings(settings, _CONFIG)
    if _SOMAXCONN.exists():
        yield backlog(int(_SOMAXCONN.read_text()))
    if settings.broker_url.startswith("sqlite:"):
        yield log(settings)
    else:
        yield from doctor_redis.look(settings, _number(environ, "WEB_CONCURRENCY", 1))


def _settings(environ: Mapping[str, str]) -> tuple[Settings, Finding]:
    try:
        settings = load(environ)
    except SettingsError as error:
        change = "set it as it says; docs/protocol.md has the table of settings"
        return Settings(), Finding(State.BAD, "settings", str(error), change)
    return settings, Finding(State.OK, "settings", "complete, and each of them fits")


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    return int(text) if text.isdecimal() else default


def fds(settings: Settings, asked: int, soft: int, hard: int) -> Finding:
    """Compare the limit of open files with the clients that a worker should hold."""
    name, found = "open files", f"at most {soft} (hard limit {hard})"
    if settings.max_connections < asked or hard < asked:
        return Finding(
            State.WARN,
            name,
            f"{found}: a worker holds {min(settings.max_connections, hard)} clients, not {asked}",
            f"raise the hard limit above {asked + FDS_RESERVED} (systemd: LimitNOFILE=,"
            " docker: --ulimit nofile=), or lower PUSH_MAX_CONNECTIONS",
        )
    raised = "" if soft > asked else "; pushapp's gunicorn settings raise it"
    return Finding(State.OK, name, f"{found}, enough for {asked} clients a worker{raised}")


def _packages() -> Iterator[Finding]:
    for package, least in _NEEDED.items():
        try:
            there = version(package)
        except PackageNotFoundError:
            change = f"pip install '{package}>={least}'"
            yield Finding(State.BAD, package, "is not installed", change)
            continue
        if _numbers(there) < _numbers(least):
            change = f"pip install '{package}>={least}'"
            yield Finding(State.BAD, package, f"{there} is too old", change)
        else:
            yield Finding(State.OK, package, there)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall("[0-9]+", text)]


def patching() -> Finding:
    """Tell whether gevent has patched this process, all of it or nothing."""
    name = "monkey patching"
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is None or not any(map(monkey.is_module_patched, _PATCHED)):
        return Finding(State.OK, name, "this process is no gevent worker and not patched")
    missing = [module for module in _PATCHED if not monkey.is_module_patched(module)]
    if not missing:
        return Finding(State.OK, name, "done")
    change = "let the first lines of wsgi.py be: from gevent import monkey; monkey.patch_all()"
    return Finding(State.BAD, name, f"left out: {', '.join(missing)}", change)


def gunicorn_settings(settings: Settings, config: Path) -> Finding:
    """Look at what gunicorn would read in this directory."""
    name = "gunicorn.conf.py"
    if not config.exists():
        found = "none in this directory: say gunicorn -c python:pushapp.gunicorn_conf"
        return Finding(State.OK, name, found)
    try:
        given = runpy.run_path(str(config))
    except SystemExit as error:
        return Finding(State.BAD, name, str(error), "set it as it says")
    except Exception as error:  # it is anybody's code
        return Finding(State.BAD, name, f"it fails: {error!r}", "mend it")
    if given.get("worker_class") not in ("gevent", "ggevent"):
        found = f"worker_class is {given.get('worker_class', 'sync')!r}"
        return Finding(State.BAD, name, found, f"worker_class = 'gevent', or {_OURS}")
    if missing := [hook for hook in _HOOKS if hook not in given]:
        return Finding(State.BAD, name, f"these hooks are not set: {', '.join(missing)}", _OURS)
    most = given.get("worker_connections", 1000)  # gunicorn's default
    if most <= settings.max_connections:
        return Finding(
            State.BAD,
            name,
            f"worker_connections = {most} is not above PUSH_MAX_CONNECTIONS"
            f" ({settings.max_connections}): a full worker hangs in silence",
            f"worker_connections = {settings.max_connections + 100}, or {_OURS}",
        )
    return Finding(State.OK, name, f"gevent workers, hooks, worker_connections = {most}")


def backlog(somaxconn: int) -> Finding:
    """Compare what the kernel lets wait for an accept with what gunicorn asks for."""
    name, found = "net.core.somaxconn", str(somaxconn)
    if somaxconn >= _BACKLOG:
        return Finding(State.OK, name, found)
    change = f"sysctl -w net.core.somaxconn={_BACKLOG}, and in /etc/sysctl.d to keep it"
    found += " clients may wait when all come back at once after a deploy"
    return Finding(State.WARN, name, found, change)


def log(settings: Settings) -> Finding:
    """Open the log in a file and write to it; a file that is not there yet is not made."""
    name, url = "log", settings.broker_url
    path = Path(unquote(urlsplit(url).path[1:]))
    if (kind := _file_system(path)).startswith(_REMOTE):
        change = "put the file on a disk of this machine; PUSH_BROKER_URL says where it is"
        return Finding(State.BAD, name, f"{path} is on a network file system ({kind})", change)
    if not path.exists():
        return _unborn(path)
    try:
        broker = open_broker(url, settings.retention)
        try:
            broker.check()
            return Finding(State.OK, name, broker.durability)
        finally:
            broker.close()
    except PushError as error:
        change = "see that its user may write there, that there is room, and PUSH_BROKER_URL"
        return Finding(State.BAD, name, str(error), change)


def _unborn(path: Path) -> Finding:
    folder = _existing(path.parent)
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding(State.OK, "log", f"{path} will be made at the first start")
    change = "let its user write there, or set PUSH_BROKER_URL"
    return Finding(State.BAD, "log", f"{folder} cannot be written", change)


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(f for f in (folder, *folder.parents) if f.exists())


def _file_system(path: Path) -> str:
    """Return the type of the file system that ``path`` is on."""
    at = _existing(path.parent).resolve()
    mounts = {Path(p.mountpoint): str(p.fstype) for p in psutil.disk_partitions(all=True)}
    return next((mounts[folder] for folder in (at, *at.parents) if folder in mounts), "")
