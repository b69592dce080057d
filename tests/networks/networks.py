"""The networks of the matrix, and what each promises to its visitors.

What belongs here: the rows. What does not: how proxies are started (``proxies``), and what is
measured (``visit``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..nginx import nginx
from .bad_line import Weather
from .bad_proxy import Faults
from .proxies import (
    BadProxy,
    Program,
    bad_line,
    bad_proxy,
    haproxy_documented,
    haproxy_timeouts,
    nginx_cache,
    nginx_default,
)
from .visit import Form, Network, Site, Visit

_NO_WEBSOCKET = "delete window.WebSocket;"
_NO_EVENTSOURCE = "delete window.EventSource;"
#: As browsers do with what a visitor has blocked: asking for it is an error already.
_NO_STORAGE = """
for (const name of ['localStorage', 'sessionStorage']) {
  Object.defineProperty(window, name, {
    get() { throw new DOMException('The operation is insecure.', 'SecurityError'); }
  });
}
delete window.BroadcastChannel;
"""
_WEBSOCKET = frozenset({"websocket"})
_STREAMS = frozenset({"websocket", "sse"})
_QUICK, _FALLS = 10.0, 20.0  # s to the first message: where the best works, and where it does not


def _bad(**faults: Any) -> Any:
    """Return what runs the bad proxy; a fault in a pair is (full, short) seconds."""

    def between(site: Site) -> AbstractContextManager[Program]:
        own: dict[str, Any] = {
            fault: site.form.time(*value) if isinstance(value, tuple) else value
            for fault, value in faults.items()
        }
        return bad_proxy(site.server.port, Faults(**own))

    return between


def _quiet(visit: Visit) -> None:
    """Nothing is said for as long as proxies take for dead."""
    visit.pass_time(visit.form.seconds / 2)
    visit.publisher.pause()
    visit.pass_time(_quiet_for(visit.form))
    visit.publisher.go_on()


def _quiet_for(form: Form) -> float:
    return form.time(70, 5)


def _restart(visit: Visit) -> None:
    visit.server.restart()


def _sleep(visit: Visit) -> None:
    """The lid is closed."""
    with visit.chromium.stopped():
        visit.pass_time(_asleep_for(visit.form))


def _sleep_and_be_cut_off(visit: Visit) -> None:
    """The lid is closed, and the network has forgotten the connection when it opens again."""
    assert visit.program
    with visit.chromium.stopped():
        visit.program.end()
        visit.pass_time(_asleep_for(visit.form))
        visit.program.start()


def _asleep_for(form: Form) -> float:
    return form.time(60, 4)


def _look_around(visit: Visit) -> None:
    """While all tabs wait, the visitor opens one more: the site still answers."""
    visit.pass_time(visit.form.seconds / 2)
    visit.publisher.pause()
    visit.pass_time(visit.form.time(10, 2))
    begun = time.monotonic()
    visit.open_tab().page.close()
    if (seconds := time.monotonic() - begun) > _QUICK:
        visit.problems.append(f"one more tab took {seconds:.1f} s to load")
    visit.publisher.go_on()


def _block(visit: Visit) -> None:
    """Nothing passes: first nobody answers, then everything is refused."""
    assert visit.program
    visit.program.pause()
    visit.pass_time(_blocked_for(visit.form) / 2)
    visit.program.end()
    visit.pass_time(_blocked_for(visit.form) / 2)
    visit.program.start()


@contextmanager
def _far_and_swallowing(site: Site) -> Iterator[Program]:
    """Run what swallows frames, far from the server: what changes there takes its time."""
    with (
        bad_line(site.server.port, Weather(latency=0.6)) as line,
        bad_proxy(line.port, Faults(swallows_frames=True)) as proxy,
    ):
        yield proxy


def _move(visit: Visit) -> None:
    """The visitor leaves one network, and is on a better one a moment later."""
    assert isinstance(visit.program, BadProxy)
    visit.pass_time(visit.form.seconds / 2)
    visit.context.set_offline(True)
    visit.program.become(Faults())
    visit.context.set_offline(False)


def _log_in(visit: Visit) -> None:
    """A network wants its visitors to log in first, and says so in place of every answer."""
    assert isinstance(visit.program, BadProxy)
    for status in (403, 200):
        visit.program.become(Faults(answers=status))
        visit.pass_time(_blocked_for(visit.form) / 2)
    visit.program.become(Faults())


def _blocked_for(form: Form) -> float:
    return form.time(20, 4)


NETWORKS = (
    Network(1, "direct", _QUICK, trouble=_quiet),
    Network(
        2,
        "nginx as its default",
        _FALLS,
        lambda site: nginx_default(site.folder / "nginx", site.server.port),
        never=_WEBSOCKET,
    ),
    Network(
        3,
        "nginx as documented",
        _QUICK,
        lambda site: nginx(site.folder / "nginx", site.server.port),
        trouble=_quiet,
    ),
    Network(
        4,
        "haproxy, 30 s timeouts",
        _QUICK,
        lambda site: haproxy_timeouts(site.folder, site.server.port, int(site.form.time(30, 3))),
        trouble=_quiet,
    ),
    Network(5, "`Upgrade` stripped", _FALLS, _bad(strips_upgrade=True), never=_WEBSOCKET),
    Network(6, "101, then frames swallowed", _FALLS, _bad(swallows_frames=True), never=_WEBSOCKET),
    Network(
        7,
        "answers held back until they end",
        _FALLS,
        _bad(holds_answers=True, strips_upgrade=True),
        never=_STREAMS,
    ),
    Network(8, "each request cut at 15 s", _QUICK, _bad(cuts_after=(15, 3)), trouble=_quiet),
    Network(
        9,
        "a router like Heroku's",
        _QUICK,
        _bad(first_byte=(30, 4), idle=(55, 4), adds_headers=True),
        trouble=_quiet,
    ),
    Network(10, "GET passes, POST hangs", _QUICK, _bad(hangs_posts=True)),
    Network(
        11,
        "a cache that stores GETs, weak ETags",
        _FALLS,
        lambda site: nginx_cache(site.folder / "nginx", site.server.port),
        never=_STREAMS,
    ),
    Network(12, "HTTP/1.0 only", _FALLS, _bad(speaks_http_1_0=True), never=_WEBSOCKET),
    Network(
        13,
        "300 ms latency, 5 % of connections reset",
        _FALLS,
        lambda site: bad_line(site.server.port, Weather(0.3, resets=site.form.time(0.05, 0.2))),
    ),
    Network(14, "the server restarted", _QUICK, trouble=_restart, lasts=lambda form: 6.0),
    Network(15, "asleep for a minute", _QUICK, trouble=_sleep, lasts=_asleep_for),
    Network(16, "no WebSocket", _QUICK, script=_NO_WEBSOCKET, never=_WEBSOCKET),
    Network(
        17,
        "no EventSource either",
        _QUICK,
        script=_NO_WEBSOCKET + _NO_EVENTSOURCE,
        never=_STREAMS,
    ),
    Network(18, "no storage, no BroadcastChannel", _QUICK, script=_NO_STORAGE),
    Network(19, "eight tabs", _QUICK, trouble=_look_around, tabs=8),
    Network(
        20,
        "all blocked for 20 s, then free",
        _QUICK,
        _bad(),
        trouble=_block,
        lasts=_blocked_for,
    ),
    # Beyond the twenty
    Network(
        21,
        "haproxy as documented",
        _QUICK,
        lambda site: haproxy_documented(site.folder, site.server.port),
        trouble=_quiet,
    ),
    Network(
        22,
        "eight tabs, no WebSocket, no EventSource",
        _FALLS,
        trouble=_look_around,
        tabs=8,
        script=_NO_WEBSOCKET + _NO_EVENTSOURCE,
        never=_STREAMS,
    ),
    Network(
        23,
        "the same on plain http by name, where pages cannot lock",
        _FALLS,
        trouble=_look_around,
        tabs=8,
        script=_NO_WEBSOCKET + _NO_EVENTSOURCE,
        host="push.test",
        never=_STREAMS,
    ),
    Network(
        24,
        "asleep and cut off for longer than the server remembers",
        _QUICK,
        _bad(),
        trouble=_sleep_and_be_cut_off,
        lasts=_asleep_for,
        channel="short:networks",
        loses=True,
    ),
    Network(
        25,
        "from where frames are swallowed to where they pass",
        _FALLS,
        _far_and_swallowing,
        trouble=_move,
        lasts=lambda form: 4.0,
        never=frozenset({"sse", "longpoll", "poll"}),
        alone=False,
    ),
    Network(
        26,
        "a login page in place of every answer, for 20 s",
        _QUICK,
        _bad(),
        trouble=_log_in,
        lasts=_blocked_for,
    ),
    Network(
        27,
        "eight tabs, the server restarted",
        _QUICK,
        trouble=_restart,
        lasts=lambda form: 6.0,
        tabs=8,
    ),
    Network(
        28,
        "a token where POST hangs, no WebSocket",
        _FALLS,
        _bad(hangs_posts=True),
        script=_NO_WEBSOCKET,
        channel="private:networks",
        never=_STREAMS,  # a ticket for an EventSource is a POST
    ),
    Network(
        29,
        "connections go silent after 30 s, and nobody says so",
        _QUICK,
        lambda site: bad_line(site.server.port, Weather(silent_after=site.form.time(30, 12))),
        lasts=lambda form: form.time(60, 14),
    ),
)
