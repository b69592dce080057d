"""The bench counts truly: what it says was delivered was, and what went wrong is told.

Nothing here asserts a speed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .needs import needs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
import targets  # noqa: E402
from cases import CASES  # noqa: E402
from logs import LOGS, SQLITE, VALKEY, Log, RunningLog, http_client, log_client  # noqa: E402
from measure import answers  # noqa: E402
from peers import PEERS, PUSHAPP, SENDER, Peer  # noqa: E402
from processes import LoadClient, Server, build  # noqa: E402
from profiled import top  # noqa: E402
from records import Results  # noqa: E402
from report import render, write  # noqa: E402
from variants import BARE, RESUMING, tokens  # noqa: E402

from bench import take_turns  # noqa: E402

TIMEOUT = 30.0  # seconds; only a failure takes them
SUBSCRIBERS, MESSAGES = 20, 50


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    needs("gcc")
    build()


def _everyone(peer: Peer, transport: str, channels: int, expected: int) -> None:
    """Let a single publisher wait for each answer: nothing lost, repeated or overtaken."""
    if peer.missing():
        pytest.skip(f"there is no {peer.missing()}: scripts/bench-peers installs it")
    with (
        Server(peer) as server,
        LoadClient(server, transport, SUBSCRIBERS, publishers=1, channels=channels) as load,
    ):
        load.connect(SUBSCRIBERS)
        if peer.endpoints[transport].first_waits:
            load.ask("rest", 0.3)  # what it waits for is on its way, and nothing tells when it came
        told = load.ask("closed", TIMEOUT, window=1, count=MESSAGES)
    assert told["published"] == told["confirmed"] == MESSAGES
    assert told["delivered"] == told["expected"] == expected
    faults = (
        *("repeated", "reordered", "strays", "misdelivered", "refused", "closed", "bad_answers"),
    )
    assert {name: told[name] for name in faults} == dict.fromkeys(faults, 0)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("peer", "transport"),
    [
        (peer, transport)
        for peer in PEERS
        for transport in ("websocket", "sse", "longpoll")
        if transport in peer.endpoints
    ],
    ids=lambda value: value.name if isinstance(value, Peer) else value,
)
def test_everyone_gets_every_message_once_and_in_order(peer: Peer, transport: str) -> None:
    """Each server is spoken to as it wants to be, and counted truly."""
    _everyone(peer, transport, channels=1, expected=SUBSCRIBERS * MESSAGES)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("peer", "channels", "each"),
    [(SENDER, 10, 2), (PUSHAPP, 50, 1), (BARE, 10, 2)],
    ids=lambda value: value.name if isinstance(value, Peer) else value,
)
def test_only_who_listens_to_a_channel_is_expected(peer: Peer, channels: int, each: int) -> None:
    """Few channels are shared, of many each subscriber has several, and no message strays."""
    _everyone(peer, "websocket", channels, expected=MESSAGES * each)


@pytest.mark.e2e
def test_who_comes_back_gets_what_was_missed(tmp_path: Path) -> None:
    """The storm is one: with their tokens and cursors all of them miss nothing."""
    path = tokens(SUBSCRIBERS, tmp_path)
    with (
        Server(RESUMING) as server,
        LoadClient(server, "websocket", SUBSCRIBERS, tokens=path) as load,
    ):
        load.connect(SUBSCRIBERS)
        load.ask("closed", TIMEOUT, window=1, count=3)
        load.ask("leave")
        load.ask("miss", count=5, limit=TIMEOUT)
        told = load.ask("return", limit=TIMEOUT)
    assert told["live"] == SUBSCRIBERS
    assert told["delivered"] == told["expected"] == SUBSCRIBERS * 5
    assert told["repeated"] == told["strays"] == 0


@pytest.mark.e2e
def test_the_server_counts_its_own_answers() -> None:
    """The share of the express lane is of what pushapp itself says that it answered."""
    with Server(PUSHAPP) as server, LoadClient(server, "longpoll", 2) as load:
        load.connect(2)
        load.ask("closed", TIMEOUT, window=1, count=5)
        expected, asked = 2 + 2 * 5, 0.0
        deadline = time.monotonic() + TIMEOUT
        while asked < expected and time.monotonic() < deadline:
            load.ask("rest", 0.1)  # they are shown within a second
            asked, _ = answers(server.port)
    assert asked == expected


class FaultyServer:
    """Spoils what it hands to its subscribers: one twice, one never, two in the wrong order; and
    asks nobody for which channel they came."""

    peer = SENDER
    spoilt = ((0,), (1, 1), (), (), (4, 3))  # which messages follow each publish

    def __init__(self, subscribers: int) -> None:
        self._subscribers = subscribers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def log(self) -> str:
        return ""

    def join(self) -> None:
        self._thread.join(TIMEOUT)
        for connection in (self._listener, *self._connections):
            connection.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        subscribers = [self._accept() for _ in range(self._subscribers)]
        for subscriber in subscribers:
            subscriber.recv(4096)
            # RFC 6455 section 1.3: the answer to the key that the load client sends
            subscriber.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\n"
                b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )
        self._spoil(subscribers, self._accept())

    def _accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.settimeout(TIMEOUT)
        self._connections.append(connection)
        return connection

    def _spoil(self, subscribers: list[socket.socket], publisher: socket.socket) -> None:
        messages = []
        for numbers in self.spoilt:
            messages.append(publisher.recv(65536).partition(b"\r\n\r\n")[2])
            for number in numbers:
                frame = b"\x81\x7e" + len(messages[number]).to_bytes(2) + messages[number]
                for subscriber in subscribers:
                    subscriber.sendall(frame)
            publisher.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(params=[1])
def faulty_server(request: pytest.FixtureRequest) -> Iterator[FaultyServer]:
    server = FaultyServer(request.param)
    yield server
    server.join()


def test_a_loss_a_repetition_and_a_wrong_order_are_counted(faulty_server: FaultyServer) -> None:
    """The load client is no yes-man: it tells each kind of fault from the others."""
    count = len(faulty_server.spoilt)
    with LoadClient(faulty_server, "websocket", 1, publishers=1) as load:
        load.connect(1)
        told = load.ask("closed", TIMEOUT, window=count, count=count, drain=0.2)
    assert (told["expected"], told["delivered"]) == (count, count - 1)
    assert (told["repeated"], told["reordered"], told["misdelivered"]) == (1, 1, 0)


@pytest.mark.parametrize("faulty_server", [2], indirect=True)
def test_a_message_of_another_channel_is_counted(faulty_server: FaultyServer) -> None:
    """Two channels, a subscriber each, and both get everything: half of it is wrong."""
    count = len(faulty_server.spoilt)
    with LoadClient(faulty_server, "websocket", 2, publishers=1, channels=2) as load:
        load.connect(2)
        told = load.ask("closed", TIMEOUT, window=count, count=count, drain=0.2)
    # 0, 2 and 4 are of the first channel, 1 and 3 of the second; 2 is lost, 1 comes twice
    assert (told["expected"], told["delivered"]) == (5, 4)
    assert (told["misdelivered"], told["repeated"]) == (5, 1)


def _record(peer: Peer, repetition: int, cpu: float, **changed: Any) -> str:
    record = {
        "case": "websocket-1000",
        "peer": peer.name,
        "repetition": repetition,
        "burst_cpu": cpu,
        "burst_delivered": 1_000_000,
        "burst_expected": 1_000_000,
        "burst_others": 0.01,
        "burst_stolen": 0.0,
    }
    return json.dumps(record | changed)


def _results(*records: str, **head: Any) -> Results:
    about = {"command": "bench", "date": "today", "setting": {"machine": "a machine"}}
    return Results([json.dumps(about | head), *records])


def _report(*records: str, **head: Any) -> str:
    return render(_results(*records, **head))


def test_a_ratio_is_taken_within_a_repetition() -> None:
    """A machine that is twice as slow in one repetition changes no ratio."""
    report = _report(
        *(_record(SENDER, 0, 2.0), _record(PUSHAPP, 0, 2.1)),
        *(_record(SENDER, 1, 4.0), _record(PUSHAPP, 1, 4.2)),
    )
    assert "÷ C sender | 1.1 × | 1.05 (1.05–1.05) × | yes |" in report


def test_a_missed_target_is_said_to_be_missed() -> None:
    """The verdict is that of the figures, and what bounds it has its place."""
    report = _report(_record(SENDER, 0, 2.0), _record(PUSHAPP, 0, 3.0))
    assert "1.50 × | no |" in report
    assert "1,000 subscribers ÷ C sender.**" in report
    met = _report(_record(SENDER, 0, 2.0), _record(PUSHAPP, 0, 2.0))
    assert ".**" not in met


def test_a_server_that_fails_costs_its_own_figures_alone(tmp_path: Path) -> None:
    """One does not start, one ends before it is measured: the report says it, and all goes on."""
    publish = next(case for case in CASES if case.name == "publish")
    broken = replace(SENDER, name="broken", command=("false",))
    dying = replace(SENDER, name="dying")

    def measure(server: Server, *about: Any) -> dict[str, Any]:
        if server.peer is dying:
            os.kill(server.pids()[0], signal.SIGKILL)
        return publish.measure(server, *about)

    case = replace(publish, measure=measure, among=(broken, dying, SENDER))
    path = tmp_path / "records"
    with path.open("w") as file:
        take_turns([(0, case, peer) for peer in case.peers], Namespace(limit=1, quick=True), file)
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["peer"] for record in told] == ["broken", "dying", SENDER.name]
    assert ["failure" in record for record in told] == [True, True, False]
    assert "does not start" in told[0]["failure"]


def test_each_note_belongs_to_a_target() -> None:
    """What bounds a target stands under its key, or nobody sees it."""
    notes = {path.stem for path in targets.NOTES.glob("*.md")}
    assert notes <= {target.key for target in targets.TARGETS}


def test_a_profile_tells_own_time_from_that_of_what_is_called() -> None:
    """By function; one that calls itself is not counted twice, and one that waits not at all."""
    waits = "thread;acquire_with_timeout (gevent/_threading.py) 10"
    shown = top(f"main;work;send 6\nmain;work;work 3\n{waits}\nmain 1\n")
    assert "| `send` | 60.0 | 60.0 |" in shown
    assert "| `work` | 30.0 | 90.0 |" in shown
    assert "| `main` | 10.0 | 100.0 |" in shown


def test_losses_failures_and_a_busy_machine_are_in_the_report() -> None:
    """What spoils a figure stands beside it."""
    failure = {"case": "poll", "peer": PUSHAPP.name, "repetition": 0, "failure": "no answer"}
    report = _report(
        _record(
            *(PUSHAPP, 0, 2.0),
            **{"burst_delivered": 999_990, "burst_repeated": 7, "burst_misdelivered": 3},
            burst_others=0.8,
        ),
        json.dumps(failure),
        json.dumps({"stopped": "--limit: stopped after 2 of 3"}),
        absent={"a server": "a program"},
    )
    assert f"| {PUSHAPP.name} | 999,990 | 10 | 7 | 3 |" in report
    assert "**not measured**: poll, pushapp, repetition 0: no answer" in report
    assert "**not measured**: a server: this machine does not have a program" in report
    assert "stopped after 2 of 3" in report
    assert "NOT QUIET" in report


def _curve() -> Results:
    records = [
        {
            **{"case": "curve-channels", "peer": PUSHAPP.name, "repetition": repetition},
            **{"channels1000_cpu": 0.3 * slow, "channels1000_confirmed": 1000},
            **{"channels1_cpu": 0.2 * slow, "channels1_confirmed": 1000},
        }
        for repetition, slow in enumerate((1, 2, 3))
    ]
    return _results(*map(json.dumps, records))


def test_a_curve_goes_over_its_sizes() -> None:
    """By size, smallest first, with the median of the repetitions."""
    report = render(_curve())
    one, many = "| 1 | 400.0 (200.0–600.0) |", "| 1,000 | 600.0 (300.0–900.0) |"
    assert -1 < report.find(one) < report.find(many)


def test_a_curve_is_drawn(tmp_path: Path) -> None:
    """The picture lies beside the report, which shows it."""
    pytest.importorskip("matplotlib", reason="requirements-bench.txt brings matplotlib")
    path = tmp_path / "measured.md"
    write(_curve(), path)
    assert "![Many channels](measured-channels.png)" in path.read_text()
    assert (tmp_path / "measured-channels.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_a_log_is_used_as_a_worker_uses_it(log: Log) -> None:
    """What one process says that it appended, another has heard, once each."""
    with (
        RunningLog(log) as running,
        log_client(running, core=0) as listener,
        log_client(running, core=0) as publisher,
    ):
        listener.ask("follow", channels=150)
        sent = publisher.ask("append", 0.2, batch=3, at_once=4, channels=150)["messages"]
        sent += publisher.ask("pace", 0.2, rate=100, channels=150)["messages"]
        assert sent > 12
        assert listener.ask("heard", TIMEOUT, count=sent) == {"heard": sent}
        assert bool(running.pids()) == (log is VALKEY)


@pytest.mark.e2e
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_delays_are_taken_across_two_servers(log: Log) -> None:
    """A message that is published at one server is read at the other."""
    with RunningLog(log) as running, Server(running.peer()) as one, Server(running.peer()) as other:
        with http_client() as client:
            posted = client.ask("post", 0.2, port=one.port, batch=5, connections=2)
            told = client.ask("across", 0.5, port=one.port, other=other.port)
    assert posted["messages"] % 5 == 0 < posted["messages"]
    assert 0 < told["delay_p50_ms"] <= told["delay_p99_ms"]
    assert told["messages"] >= 1


def test_the_logs_stand_side_by_side() -> None:
    """Cost by message, a file without a server's share, a ratio; a part not run is left out."""
    records = [
        {
            **{"case": "log-append", "peer": log.name, "repetition": 0},
            **{"b1_messages": 1000, "b1_secs": 0.5, "b1_cpu": cpu, "b1_others": 0.3},
        }
        for log, cpu in ((SQLITE, 0.05), (VALKEY, 0.1))
    ]
    records[1]["b1_log_cpu"] = 0.04
    report = _report(*map(json.dumps, records))
    assert "| one at a time: the worker | 50.0 | 100.0 | 2.00 |" in report
    assert "| one at a time: the log's server | – | 40.0 | – |" in report
    assert "| one at a time | 2000 | 2000 | 1.00 |" in report
    assert "NOT QUIET" in report
    assert "C sender" not in report
