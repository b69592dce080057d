"""The log on a Valkey or Redis server: connections, keys, and what may happen to them."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pushapp.broker import open_broker
from pushapp.broker.interface import AppendKey
from pushapp.broker.redis import RedisBroker, follow
from pushapp.errors import LogUnavailable, SettingsError
from pushapp.message import Draft

from ..server import free_port, until
from ..valkey import Valkey
from .conftest import Open
from .roster_tools import bring, changes, drop, entry, everybody, recorded
from .tools import (
    DAY,
    TIMEOUT,
    A,
    B,
    Clock,
    append,
    cursor,
    data,
    ids,
    now,
    publish,
    receive,
    retention,
    together,
    told,
)


def own(valkey: Valkey, prefix: str) -> list[dict[str, str]]:
    """Return the app's connections."""
    return [client for client in valkey.clients() if client["name"] == f"pushapp:{prefix}"]


def keys(valkey: Valkey, prefix: str) -> set[str]:
    """Return the names of the app's keys, without what they all begin with."""
    begin = f"{{{prefix}}}:"
    return {key.removeprefix(begin) for key in valkey.ask("KEYS", f"{begin}*")}


# -- connections ---------------------------------------------------------------------------------


def test_a_process_takes_three_connections(valkey: Valkey, prefix: str, open_one: Open) -> None:
    """However much it does at once; and none is left when it has closed."""
    broker = open_one()
    follower = broker.log.follow()
    follower.watch(A, B)

    def work() -> None:
        for _ in range(20):
            publish(broker, A)
            broker.log.read([A, B], now(broker))
            broker.leases.renew("w", {"a": "1"}, 5.0)

    together(*[work] * 8, lambda: receive(follower, 160))

    assert len(own(valkey, prefix)) == 3
    broker.close()
    until(lambda: not own(valkey, prefix), "its connections are closed")


def test_a_closed_broker_says_so(open_one: Open) -> None:
    broker = open_one()
    publish(broker, A)
    broker.close()
    with pytest.raises(LogUnavailable):
        publish(broker, A)


def test_all_connections_may_break_at_any_time(valkey: Valkey, prefix: str, open_one: Open) -> None:
    """Nothing is lost, nothing comes twice, nobody is told anything."""
    tx, rx = open_one(), open_one()
    follower = rx.log.follow()
    follower.watch(A, B)
    given: list[str] = []
    got: list[str] = []

    def work() -> None:
        for i in range(60):
            given.extend(publish(tx, A, B))
            if i % 7 == 0:
                for client in own(valkey, prefix):
                    valkey.ask("CLIENT", "KILL", "ID", client["id"])

    together(work, lambda: got.extend(ids(receive(follower, 120))))
    assert got == given


def test_what_comes_while_the_ear_is_cut_off_is_read(valkey: Valkey, open_one: Open) -> None:
    """Wake-ups that nobody heard are no loss: all channels are read before it goes on."""
    tx, rx = open_one(), open_one()
    follower = rx.log.follow()
    channels = [f"many:{i}" for i in range(700)]  # more than one script reads at once
    follower.watch(*channels)
    for _ in range(3):
        valkey.cut("pubsub")
        given = append(tx, *(Draft(channel, "0") for channel in channels[::2]))
        assert ids(receive(follower, len(given))) == given


def test_a_channel_is_heard_of_only_while_somebody_wants_it(
    valkey: Valkey, prefix: str, open_one: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not watched costs nothing, and what was watched is let go of after a while."""
    tx, rx = open_one(), open_one()
    follower = rx.log.follow()
    follower.watch(A)

    def heard() -> list[str]:
        names: list[str] = valkey.ask("PUBSUB", "CHANNELS", f"{{{prefix}}}/*")
        return [name.partition(":")[2] for name in names if "!" not in name]

    publish(tx, B)
    assert heard() == [A]
    follower.unwatch(A)
    follower.next(0)
    assert heard() == [A]
    monkeypatch.setattr(follow, "LINGER", 0.0)
    until(lambda: follower.next(0.1) and not heard(), "it is let go of")

    monkeypatch.undo()
    follower.watch(A)
    given = publish(tx, B, A)
    assert ids(receive(follower, 1)) == given[1:]


def test_one_who_comes_back_in_time_misses_nothing(open_one: Open) -> None:
    """A channel that lingers is not listened to; watched again, it is read."""
    tx, rx = open_one(), open_one()
    follower = rx.log.follow()
    follower.watch(A, B)
    follower.unwatch(A)
    given = publish(tx, A)
    follower.watch(A)
    given += publish(tx, B)
    assert ids(receive(follower, 2)) == given


# -- keys ----------------------------------------------------------------------------------------


def test_two_apps_share_a_server(valkey: Valkey, prefix: str, open_one: Open) -> None:
    """Their prefixes keep them apart; so do databases under one prefix, wake-ups too."""
    one, two = open_one(), open_one(prefix=f"{prefix}-two")
    three = open_one(valkey.url.replace("/0", "/1"))
    followers = [broker.log.follow() for broker in (one, two, three)]
    for follower in followers:
        follower.watch(A)
    try:
        for broker, follower in zip((one, two, three), followers, strict=True):
            given = publish(broker, A)
            assert ids(receive(follower, 1)) == given
        epochs = {follower.position.epoch for follower in followers}
        assert len(epochs) == 3
        for follower in followers:
            page = follower.next(0.1)
            assert not page.messages and not page.lost and follower.position.epoch in epochs
    finally:
        for follower in followers:
            follower.close()
        valkey.forget(f"{prefix}-two")
        valkey.ask("SELECT", 1)
        valkey.forget(prefix)
        valkey.ask("SELECT", 0)


def test_channels_that_nobody_uses_cost_nothing_in_the_end(
    valkey: Valkey, prefix: str, open_one: Open
) -> None:
    """A day after its last message is gone nothing is left of a channel but the floor."""
    clock = Clock()
    broker = open_one(clock=clock)
    for i in range(120):
        append(broker, Draft(f"brief:{i}", "0"), Draft("brief:x", "1", retain=True))
    broker.leases.renew("w", {"channel:a": "1"}, 30.0)
    broker.log.append([Draft(A, "1", at=clock.now + 60)])
    broker.log.append([Draft("brief:x", "null", retain=True)])
    bring(broker, "w1", entry("c1", "42", A, watches=True), entry("c2", None, A), record=True)
    bring(broker, "w2", entry("c1", "42", A, B), entry("c3", "7", A, observer=True))
    drop(broker, "w2", "c1")
    clock.forward(100)
    until(lambda: not broker._roster.sweep(), "who has died has gone")
    broker.schedule.fire_due()
    clock.forward(3 * DAY)

    follower = broker.log.follow()

    def left() -> set[str]:
        follower.next(0)
        return {key for key in keys(valkey, prefix) if not key.startswith("k:")}

    until(lambda: left() == {"meta"}, "all but the log's own figures is gone")
    # An append's own key expires by itself, as soon as nobody can come with it again.
    ttls = [valkey.ask("PTTL", f"{{{prefix}}}:{key}") for key in keys(valkey, prefix) - {"meta"}]
    assert ttls and all(-2 == ttl or 0 < ttl <= 20_000 for ttl in ttls)


def test_all_keys_live_in_one_slot(make_valkey: Callable[..., Valkey], open_one: Open) -> None:
    """A server that is a shard of a cluster takes every script."""
    server = make_valkey(cluster_enabled="yes", cluster_port=free_port())
    server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    broker = open_one(server.url)
    until(lambda: _is_up(broker), "the shard serves")
    follower = broker.log.follow()
    follower.watch(A)
    given = append(broker, Draft(A, "1", retain=True), Draft(B, "2"))
    assert ids(receive(follower, 1)) == given[:1]
    broker.leases.renew("w", {"a": "1"}, 5.0)
    assert broker.leases.read("a") == {"w": "1"} and broker.leases.claim("a", 5.0)
    assert [info.channel for info in broker.log.channels()] == [A, B]
    bring(broker, "w", entry("c1", "42", A, watches=True), record=True)
    assert everybody(broker, A) == ["user:42"] and len(broker.roster.connections("42")) == 1
    assert changes(broker, A) == ["occupied", "join 42"] and len(recorded(broker)) == 3


def _is_up(broker: RedisBroker) -> bool:
    try:
        broker.check()
    except LogUnavailable:
        return False
    return True


# -- what the server may do ----------------------------------------------------------------------


def test_a_server_that_forgot_the_scripts_is_told_them_again(
    valkey: Valkey, open_one: Open
) -> None:
    broker = open_one()
    given = publish(broker, A)
    valkey.ask("SCRIPT", "FLUSH")
    given += publish(broker, A)
    assert ids(broker.log.history(A, 9)[0]) == given


def test_a_full_server_acknowledges_nothing(
    make_valkey: Callable[..., Valkey], open_one: Open
) -> None:
    """Not half of a batch; what is there can still be read, and there is room again later."""
    server = make_valkey(maxmemory="8mb", maxmemory_policy="noeviction")
    broker = open_one(server.url)
    given = publish(broker, A)
    server.ask("CONFIG", "SET", "maxmemory", "1mb")

    with pytest.raises(LogUnavailable, match="out of memory"):
        broker.log.append([Draft(A, "1"), Draft(B, "2")])
    with pytest.raises(LogUnavailable, match="out of memory"):
        broker.check()
    assert ids(broker.log.history(A, 9)[0]) == given and not broker.log.history(B, 9)[0]

    server.ask("CONFIG", "SET", "maxmemory", "0")
    broker.check()
    (later,) = publish(broker, A)
    assert broker.log.history(A, 1)[0][0].prev == cursor(given[0]).n
    assert cursor(later).n == cursor(given[0]).n + 1


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_would_throw_messages_away_is_not_ready(
    make_valkey: Callable[..., Valkey], open_one: Open, policy: str
) -> None:
    broker = open_one(make_valkey(maxmemory_policy=policy).url)
    with pytest.raises(LogUnavailable, match=f"{policy}.*needs noeviction"):
        broker.check()


def test_a_server_that_is_not_there_is_said_to_be(open_one: Open) -> None:
    """At once, and by each use; opening is no use."""
    broker = open_one(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(LogUnavailable, match="refused"):
        broker.check()
    with pytest.raises(LogUnavailable):
        broker.log.follow()
    assert "not known" in broker.durability


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, "the server and a power cut"),
        ({"appendonly": "yes", "appendfsync": "everysec"}, "but for the last second"),
        ({"save": "60 1"}, "a restart loses what came after the last one"),
        ({}, "keeps nothing on disk"),
    ],
)
def test_durability_is_said_as_the_server_is_set(
    make_valkey: Callable[..., Valkey], open_one: Open, config: dict[str, object], words: str
) -> None:
    assert words in open_one(make_valkey(**config).url).durability


# -- answers that do not arrive ------------------------------------------------------------------


class Thief:
    """A TCP proxy that keeps the server's answer to one command, and cuts the line instead."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.word = b""  # the first answer that has it is kept
        self.cuts = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            self._threads.append(threading.Thread(target=self._forward, args=(client,)))
            self._threads[-1].start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
            while True:
                readable, _, _ = select.select([client, upstream], [], [])
                for source in readable:
                    data = source.recv(65536)
                    if source is upstream and self.word and self.word in data:
                        self.word, data = b"", b""
                        self.cuts += 1
                    if not data:
                        return
                    (client if source is upstream else upstream).sendall(data)

    def close(self) -> None:
        """Take no more; its clients have closed."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(TIMEOUT)


@pytest.fixture
def thief(valkey: Valkey) -> Iterator[Thief]:
    """Between brokers and the server that the tests share."""
    thief = Thief(valkey.port)
    yield thief
    thief.close()


@pytest.fixture
def robbed(thief: Thief, open_one: Open) -> RedisBroker:
    """A broker behind the thief, with both of its lines open."""
    broker = open_one(f"redis://127.0.0.1:{thief.port}/0")
    broker.check()
    now(broker)
    return broker


@pytest.mark.parametrize("key", [None, AppendKey("publisher", "key", "fingerprint")])
def test_an_append_whose_answer_is_lost_lands_once(
    thief: Thief, robbed: RedisBroker, key: AppendKey | None
) -> None:
    """It is sent again under the key that it has, or that was made for it, and gets its id."""
    first = publish(robbed, A)
    thief.word = f"{cursor(first[0]).epoch}.2".encode()

    given = append(robbed, Draft(A, "1"), key=key)

    assert thief.cuts == 1
    assert ids(robbed.log.history(A, 9)[0]) == first + given


def test_a_claim_whose_answer_is_lost_is_still_won(thief: Thief, robbed: RedisBroker) -> None:
    thief.word = now(robbed).epoch.encode()
    assert robbed.leases.claim("ticket", 60.0)
    assert thief.cuts == 1
    assert not robbed.leases.claim("ticket", 60.0)


def test_a_new_worker_whose_answer_is_lost_is_still_new(thief: Thief, robbed: RedisBroker) -> None:
    """Or it would never bring what else it has."""
    thief.word = now(robbed).epoch.encode()
    assert not bring(robbed, "w", entry("c1", "42", A))
    assert thief.cuts == 1
    assert bring(robbed, "w")
    assert changes(robbed, A) == [] and robbed.roster.members(A).count == 1


def test_an_order_whose_answer_is_lost_is_told_once(thief: Thief, robbed: RedisBroker) -> None:
    thief.word = now(robbed).epoch.encode()
    robbed.control.tell({"n": 1})
    assert thief.cuts == 1
    assert robbed.control.orders() == [{"n": 1}]


def test_an_order_is_heard_however_long_it_takes_to_ask(
    open_one: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told after the broker had been opened, by less than the question is on its way."""
    clock = Clock()
    broker = open_one(clock=clock)
    broker.control.tell({"n": 1})
    ask = broker.control._reads.head

    def ask_late(*question: object) -> object:
        clock.forward(1)
        return ask(*question)

    monkeypatch.setattr(broker.control._reads, "head", ask_late)
    assert broker.control.orders() == [{"n": 1}]


def test_a_cancel_whose_answer_is_lost_is_still_true(thief: Thief, robbed: RedisBroker) -> None:
    (receipt,) = robbed.log.append([Draft(A, "1", at=time.time() + 1000)])
    thief.word = now(robbed).epoch.encode()
    assert robbed.schedule.cancel(receipt.id) is True
    assert thief.cuts == 1
    assert robbed.schedule.cancel(receipt.id) is False


def test_a_server_that_stands_still_is_waited_for_and_no_longer(
    make_valkey: Callable[..., Valkey], open_one: Open
) -> None:
    """Every wait ends; what was not acknowledged and is repeated with its key lands once."""
    server = make_valkey()
    broker = open_one(server.url)
    publish(broker, A)
    key = AppendKey("publisher", "key", "fingerprint")
    server.pause()
    try:
        with pytest.raises(LogUnavailable):
            append(broker, Draft(A, "1"), key=key)
    finally:
        server.resume()
    append(broker, Draft(A, "1"), key=key)
    assert data(broker.log.history(A, 9)[0]) == ['"public:a"', "1"]


def test_a_pause_is_no_loss(make_valkey: Callable[..., Valkey], open_one: Open) -> None:
    """A follower goes on where it was."""
    server = make_valkey()
    tx, rx = open_one(server.url), open_one(server.url)
    follower = rx.log.follow()
    follower.watch(A)
    start = now(tx)
    server.pause()
    with pytest.raises(LogUnavailable):
        while True:
            follower.next(TIMEOUT)
    server.resume()
    given = publish(tx, A)
    got: list[str] = []
    while not got:
        try:
            got = ids(receive(follower, 1))
        except LogUnavailable:
            continue
    assert got == given and not told(tx.log.read([A], start))


# -- the URL -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["redis+sentinel://host", "redis+sentinel:///service", "redis://host/0?nonsense=1"]
)
def test_a_url_that_names_no_server_is_refused(url: str) -> None:
    """With the setting's name, and without the password."""
    with pytest.raises(SettingsError, match="PUSH_BROKER_URL"):
        open_broker(url, retention).close()


def test_a_password_is_shown_to_nobody() -> None:
    with pytest.raises(SettingsError) as caught:
        open_broker("redis+sentinel://user:secret@host", retention)
    assert "secret" not in str(caught.value)
