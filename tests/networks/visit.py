"""One visit to one network: what happens, and what was found.

What belongs here: the course of a visit, and judging it. What does not: the networks themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext

from ..jwts import token
from ..server import Server, until
from .chromium import Chromium
from .proxies import Program
from .publisher import Publisher
from .visitor import Visitor

OWN_JQUERY = "3.7.1"  # that the server serves
NO_JQUERY = "none"
_CHANNEL = "public:networks"
_TOGETHER = 1.0  # s from telling the first of several tabs to begin until they all do
_FEW = 2  # subscribers for many tabs: the one that leads, and perhaps one that has just left
_PATIENCE = 90.0  # s for all that trouble has delayed; two long polls that nobody answers, and more


@dataclass(frozen=True)
class Form:
    """How thoroughly: true times and many messages, or everything scaled down."""

    full: bool
    jquery: str
    transport: str | None = None  # this one alone; None: as it comes

    @property
    def name(self) -> str:
        name = f"{'full' if self.full else 'short'} {self.jquery}"
        return f"{name} {self.transport}" if self.transport else name

    @property
    def count(self) -> int:
        return 200 if self.full else 40

    @property
    def seconds(self) -> float:
        """Over how long the messages are spread, trouble aside."""
        return 40.0 if self.full else 4.0

    @property
    def heartbeat(self) -> int:
        return 25 if self.full else 2

    def time(self, full: float, short: float) -> float:
        return full if self.full else short


@dataclass(frozen=True)
class Site:
    """What a network is built in front of."""

    form: Form
    folder: Path
    server: Server


@dataclass
class Visit:
    """What trouble may lay hands on."""

    form: Form
    server: Server
    chromium: Chromium
    context: BrowserContext
    url: str
    program: Program | None  # between the pages and the server
    publisher: Publisher
    visitors: list[Visitor] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # that trouble has found

    def open_tab(self) -> Visitor:
        """Open the page in one more tab of the browser's."""
        return Visitor(self.context, self.url)

    def pass_time(self, seconds: float) -> None:
        """Let real time pass: a lid is closed for a minute, not until something happens."""
        threading.Event().wait(seconds)


def _direct(site: Site) -> AbstractContextManager[int]:
    return nullcontext(site.server.port)


@dataclass(frozen=True)
class Network:
    """A row of the matrix."""

    number: int
    name: str
    promise: float  # seconds to the first message, at the latest
    between: Callable[[Site], AbstractContextManager[int | Program]] = _direct
    trouble: Callable[[Visit], None] | None = None  # while messages flow
    lasts: Callable[[Form], float] = lambda form: 0.0  # how long the trouble does, in seconds
    script: str = ""  # that browsers run first
    tabs: int = 1
    host: str = "127.0.0.1"
    channel: str = _CHANNEL
    never: frozenset[str] = frozenset()  # transports that cannot work here
    loses: bool = False  # more than the server keeps
    alone: bool = True  # one transport, too, is enough here


@dataclass
class Result:
    """What was found."""

    transport: str = "none"  # that it ended on
    first: float | None = None  # seconds to the first message
    slowest: float | None = None  # seconds from publishing to arriving, of the slowest message
    lost: int = 0
    twice: int = 0
    told: int = 0  # how often the page was told of a loss
    subscribers: int = 0  # that the server had
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        first, slowest = (f"{value or 0:.1f} s" for value in (self.first, self.slowest))
        found = f"{self.transport}, first {first}, slowest {slowest}"
        found += f", lost {self.lost}, twice {self.twice}"
        return "; ".join([found, *self.problems])


def visit(network: Network, form: Form, folder: Path, jquery: Path, chromium: Chromium) -> Result:
    """Pay a visit."""
    with ExitStack() as stack:
        server = Server(
            folder,
            app="tests.networks.app:app",
            PUSH_HEARTBEAT=form.heartbeat,
            NETWORKS_JQUERY=jquery,
        ).start()
        stack.callback(server.stop)
        between = stack.enter_context(network.between(Site(form, folder, server)))
        program = between if isinstance(between, Program) else None
        port = between.port if isinstance(between, Program) else between
        query = "" if form.jquery == OWN_JQUERY else f"?jquery={form.jquery}"
        context = chromium.browser.new_context()
        stack.callback(context.close)
        context.set_default_timeout(1000 * _PATIENCE)
        context.add_init_script(network.script or ";")
        publisher = Publisher(server, network.channel)
        stack.callback(publisher.close)
        url = f"http://{network.host}:{port}/page{query}"
        this = Visit(form, server, chromium, context, url, program, publisher)
        this.visitors = [this.open_tab() for _ in range(network.tabs)]
        return _watch(network, this)


def _watch(network: Network, this: Visit) -> Result:
    form, publisher, result = this.form, this.publisher, Result()
    options = {"transport": form.transport} if form.transport else {}
    if network.channel.startswith("private:"):
        options["token"] = token(network.channel, lasts=3600)
    moment = time.time() + (_TOGETHER if network.tabs > 1 else 0)
    for visitor in this.visitors:
        visitor.connect(moment, network.channel, **options)
    for visitor in this.visitors:
        if not visitor.hears(0, max(0.1, network.promise + moment - time.time())):
            found = visitor.result()
            result.transport = f"{found['transport']}, not working"
            result.problems.append(f"no message within {network.promise} s: {found['said']}")
            return result
    begun = max(visitor.result()["heard"][0] for visitor in this.visitors)
    end = begun + form.count
    publisher.aim(end, form.seconds + network.lasts(form))
    if network.trouble:
        network.trouble(this)
    publisher.wait()
    for visitor in this.visitors:
        if not visitor.hears(end - 1, _PATIENCE):
            result.problems.append(f"not all within {_PATIENCE} s of the last one")
        _judge(network, visitor, end, result)
    result.problems += this.problems
    channel = this.server.look(f"/push/channels/{network.channel}")
    result.subscribers = channel["subscribers"]
    if network.tabs > 1 and result.subscribers > _FEW:
        result.problems.append(f"{result.subscribers} subscribers for {network.tabs} tabs")
    return result


def _judge(network: Network, visitor: Visitor, end: int, result: Result) -> None:
    """Add to ``result`` what one page has got, and been told."""
    with suppress(AssertionError):  # what cuts lines may do so at this very moment
        until(lambda: visitor.result()["state"] == 1, "it is open again")
    found: dict[str, Any] = visitor.result()
    heard: list[int] = found["heard"]
    lost = len(set(range(heard[0], end)) - set(heard))
    twice = len(heard) - len(set(heard))
    told = len(found["said"]["lost"])
    result.transport = found["transport"]
    result.first = max(result.first or 0.0, found["first"])
    result.slowest = max(result.slowest or 0.0, found["slowest"])
    result.lost += lost
    result.twice += twice
    result.told += told
    for wrong, problem in (
        (found["state"] != 1, f"it is in state {found['state']}"),
        (found["transport"] in network.never, f"{found['transport']} cannot work here"),
        (lost and not network.loses, f"{lost} lost"),
        (network.loses and not lost, "nothing was lost, which this network is about"),
        (twice, f"{twice} twice"),
        (heard != sorted(heard), "out of order"),
        (lost and not told, "the page was not told of its loss"),
        (told and not lost, f"the page was told of a loss that was none: {found['said']['lost']}"),
        (visitor.errors, f"errors of scripts: {visitor.errors}"),
    ):
        if wrong:
            result.problems.append(f"{problem}; {found['said']['error'][-3:]}")
