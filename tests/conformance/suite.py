"""The Autobahn cases against our echo (``apps/echo``), by the runner that PyPI has: ``kosoku``.

What belongs here: which cases there are, running them, what counts as passed. What does not: how
it is printed (``__main__``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import kosoku
from kosoku._kosoku import CaseResult

from ..server import Server

Parts = Sequence[Sequence[str]]  # of a group: what is run at a time; "1.*" is all that begins so

ABOUT = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "up to 16 MiB, in whatever pieces",
    "10": "fragmented by the sender",
    "12": "compression of five texts",
    "13": "compression by seven offers",
}
_LATER = {"9": range(1, 9), "12": range(1, 6), "13": range(1, 8)}  # groups that take longer
ALL: dict[str, Parts] = {
    group: [[f"{group}.{n}.*"] for n in _LATER[group]] if group in _LATER else [[f"{group}.*"]]
    for group in ABOUT
}
SHORT: dict[str, Parts] = ALL | {
    "9": [[f"9.{n}.1" for n in _LATER["9"]]],
    "12": [["12.1.3", "12.2.4"]],
    "13": [[f"13.{n}.2" for n in _LATER["13"]]],
}


def echo_server(folder: Path, **settings: object) -> Server:
    """Return the echo, not started. It limits nobody: some cases send 65,536 frames at once."""
    own = {
        "WEB_CONCURRENCY": 1,
        "PUSH_DEFLATE": 1,
        "PUSH_BUFFER": 32 << 20,
        "PUSH_LIMITS": '{"operations":0,"connects":0,"requests":0}',
    }
    return Server(folder, app="tests.apps.echo:app", **own, **settings)


def run(server: Server, cases: Sequence[str], at_once: int = 4) -> list[CaseResult]:
    """Run cases, several at once; return what became of each of them."""

    async def drive() -> list[CaseResult]:
        url = f"ws://127.0.0.1:{server.port}/"
        return await kosoku.run_fuzzingclient(url, cases, concurrency=at_once)

    try:
        return asyncio.run(drive())
    except kosoku.FailureError as failure:
        return failure.results


def is_good(result: CaseResult) -> bool:
    """Tell whether a case went as it should; three look at what RFC 6455 leaves open."""
    return verdict(result) in ("OK", "INFORMATIONAL")


def verdict(result: CaseResult) -> str:
    """Return one word for what was exchanged and how it was closed: the worse of the two."""
    words = (result.behavior.value, result.behavior_close.value)
    return next((word for word in words if word != "OK"), "OK")
