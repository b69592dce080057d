"""/metrics: the text, who may read it, and several workers of which some die.

What belongs here: what one process says of all. What does not: whether what is counted is true
(``transports/test_counting``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pushapp.board import Board
from pushapp.metrics import Reporter
from pushapp.tally import METRICS, SIZE, Histogram, Tally, flat, growing

from .clients import TRANSPORTS, Client
from .scrape import Scrape, scrape, scrape_all
from .server import API_KEY, LONG, PUBLISH_KEY, READ_KEY, Server, until


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# -- the text -------------------------------------------------------------------------------------


def test_every_metric_is_there_with_all_its_labels(server: Server) -> None:
    """From the start: a rate over a series that appears only with its first event misses it."""
    found = scrape_all(server)
    assert set(found.families) == {f"pushapp_{metric.name}" for metric in METRICS}
    for metric in METRICS:
        family = found.families[f"pushapp_{metric.name}"]
        assert family.type == metric.kind and family.documentation == metric.help
        labels = {tuple(sample.labels[name] for name in metric.labels) for sample in family.samples}
        assert labels == set(metric.series)
    assert {sample.labels["worker"] for sample in found.samples} == {"0", "1"}


def test_anyone_may_read_it_and_nothing_may_keep_it(server: Server) -> None:
    """It names nobody."""
    reply = server.ask("GET", "/metrics")
    assert reply.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("X-Content-Type-Options") == "nosniff"


def test_no_name_of_a_channel_or_user_is_shown(
    server: Server, connect: Callable[..., Client]
) -> None:
    """Labels are a closed set: what a client chooses is in none of them."""
    connect("sse", server, ["public:secret-name"])
    server.publish("public:secret-name", "secret-data")
    assert b"secret" not in server.ask("GET", "/metrics").body


def test_under_the_prefix_it_needs_a_key_that_may_look(app: Flask, client: FlaskClient) -> None:
    """There it is in apps of others, too, which may have a /metrics of their own."""
    assert client.get("/push/metrics").status_code == 401
    reply = client.get("/push/metrics", headers=bearer(API_KEY))
    assert reply.status_code == 200
    assert Scrape(reply.text).total("refusals_total", reason="not_authenticated") == 1


def test_a_key_that_may_publish_alone_may_not_read_it(server: Server) -> None:
    """It is looking."""
    assert server.ask("GET", "/push/metrics", bearer(PUBLISH_KEY)).status == 403
    assert server.ask("GET", "/push/metrics", bearer(READ_KEY)).status == 200


def test_on_heroku_the_dyno_is_named(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router picks one at a time: without a label, its counters would jump."""
    monkeypatch.setenv("DYNO", "web.2")
    found = Scrape(client.get("/metrics").text)
    assert {sample.labels["dyno"] for sample in found.samples} == {"web.2"}


# -- several workers ------------------------------------------------------------------------------


def test_a_killed_worker_takes_its_gauges_along_and_leaves_its_counters(
    make_server: Callable[..., Server], connect: Callable[..., Client]
) -> None:
    """Counters never go backwards, whoever is asked; its successor goes on in its place."""
    server = make_server(WEB_CONCURRENCY=2)
    victim, survivor = server.workers()
    with server.only(victim):
        gone = [connect(transport, server, ["public:a"]) for transport in TRANSPORTS]
    with server.only(survivor):
        stays = connect("sse", server, ["public:a"])
    for n in range(5):
        server.publish("public:a", n)
    for client in (*gone, stays):
        assert client.data(5) == [0, 1, 2, 3, 4]
    before = scrape_all(server)
    assert before.total("deliveries_total") == 25
    assert before.total("deliveries_total", transport="sse") == 10
    assert before.total("connections", transport="sse") == 2

    os.kill(victim, signal.SIGKILL)
    until(lambda: scrape(server).total("connections", transport="sse") == 1, "its gauges vanish")
    server.wait_for_workers()
    after = scrape_all(server)

    assert after.total("connections") == 1
    for transport in TRANSPORTS:
        counts = [x.total("deliveries_total", transport=transport) for x in (before, after)]
        assert counts[0] == counts[1], "and nobody is counted twice or forgotten"
    grown = [
        (sample, later.value - sample.value)
        for sample in before.samples
        for later in after.samples
        if (later.name, later.labels) == (sample.name, sample.labels)
        and before.families[family_of(sample.name)].type != "gauge"
    ]
    assert grown and all(growth >= 0 for _, growth in grown)
    assert {sample.labels["worker"] for sample in after.samples} == {"0", "1"}
    for client in gone:
        client.close()


def family_of(sample: str) -> str:
    """Return the name of the family that a sample's name belongs to."""
    for ending in ("_total", "_bucket", "_count", "_sum"):
        sample = sample.removesuffix(ending)
    return sample


def test_a_reload_keeps_what_was_counted(
    make_server: Callable[..., Server], connect: Callable[..., Client]
) -> None:
    """SIGHUP replaces all workers: what they did in their last second counts, too."""
    server = make_server(WEB_CONCURRENCY=2)
    connect("sse", server, ["public:a"])
    for n in range(3):
        server.publish("public:a", n)
    old = set(server.workers())
    server.signal(signal.SIGHUP)
    until(
        lambda: len(server.workers()) == 2 and not old & set(server.workers()), "all are new", LONG
    )
    server.wait_for_workers()
    found = scrape_all(server)
    assert found.total("published_total") == 3
    assert found.total("ended_total", transport="sse", reason="drain") == 1


# -- the board ------------------------------------------------------------------------------------


def test_a_worker_goes_on_from_the_counters_of_the_one_before() -> None:
    """Its gauges are its own."""
    board = Board(2, SIZE)
    numbers = {"published": {(): 7.0}, "channels": {(): 3.0}}
    first = board.take()
    assert first is not None
    Reporter(board, first, lambda: flat(numbers)).write()
    first.free()
    second = board.take()
    assert second is not None and second.name == first.name
    reporter = Reporter(board, second, lambda: flat({"published": {(): 1.0}}))

    (reading,) = reporter.read()

    assert reading.lives
    assert reading.numbers == flat({"published": {(): 8.0}})


def test_a_place_without_a_worker_shows_counters_alone(app: Flask, client: FlaskClient) -> None:
    """As long as no other worker has it."""
    board = Board(2, SIZE)
    dead, alive = board.take(), board.take()
    assert dead is not None and alive is not None
    Reporter(board, dead, lambda: flat({"published": {(): 7.0}, "channels": {(): 3.0}})).write()
    dead.free()
    app.extensions["push"].reporter = Reporter(
        board, alive, lambda: flat({"published": {(): 1.0}, "channels": {(): 2.0}})
    )

    found = Scrape(client.get("/metrics").text)

    assert found.total("published_total", worker=dead.name) == 7
    assert found.total("published_total", worker=alive.name) == 1
    assert [(s.labels["worker"], s.value) for s in found.named("channels")] == [(alive.name, 2)]


def test_a_worker_that_begins_does_not_show_the_gauges_of_the_one_before() -> None:
    """It has their place before it has loaded its app, which may take long, or fail."""
    board = Board(2, SIZE)
    dead, alive = board.take(), board.take()
    assert dead is not None and alive is not None
    Reporter(board, dead, lambda: flat({"connections": {("sse",): 9.0}})).write()
    dead.free()
    successor = board.take()
    assert successor is not None and successor.name == dead.name

    readings = Reporter(board, alive, lambda: flat({})).read()

    assert [(reading.worker, reading.lives) for reading in readings] == [("0", False), ("1", True)]
    Reporter(board, successor, lambda: flat({})).write()
    assert successor.lives


def test_a_board_is_full_when_every_place_has_a_worker() -> None:
    """Who gets none counts for itself."""
    board = Board(2, SIZE)
    taken = [board.take(), board.take()]
    assert board.take() is None
    assert taken[0] is not None
    taken[0].free()
    assert board.take() is not None


def test_the_order_of_numbers_is_one() -> None:
    """What is written, what is read and what grows have the same length."""
    assert len(flat(Tally().numbers())) == len(growing()) == SIZE


def test_a_histogram_puts_a_bound_into_its_own_bucket() -> None:
    """Prometheus: less than or equal; a clock that went back counts as no time at all."""
    histogram = Histogram((1.0, 2.0))
    for seconds in (-1.0, 1.0, 1.5, 9.0):
        histogram.observe(seconds)
    assert histogram.numbers == [2, 1, 1, 11.5]
