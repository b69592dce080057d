"""The log on a server that is not what it was: restarted, gone back, emptied, failed over.

Whoever has a cursor from before is told so, and no id is given out twice in one epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pushapp.broker.redis import RedisBroker
from pushapp.broker.redis.server import JUMP
from pushapp.errors import LogUnavailable
from pushapp.message import Cursor, Draft

from ..server import until
from ..valkey import Valkey
from .roster_tools import bring, changes, entry, everybody, watch
from .tools import A, B, cursor, ids, listen, now, publish, receive, retention, told


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server that loses nothing by itself: what is on its disk is all it has acknowledged."""
    server = Valkey(tmp_path / "server", appendonly="yes", appendfsync="always").start()
    yield server
    server.stop()


@contextmanager
def opened(server: Valkey) -> Iterator[RedisBroker]:
    """A worker's broker, with a memory of its own."""
    broker = RedisBroker(server.url, retention)
    try:
        yield broker
    finally:
        broker.close()


# -- restarted, with all that it had -------------------------------------------------------------


def test_a_restart_that_lost_nothing_costs_no_cursor(server: Valkey) -> None:
    """Neither one who was there nor one who comes later notices, and the links hold."""
    with opened(server) as broker:
        given = publish(broker, A, B, A)
        server.restart()
        given += publish(broker, A)

        page = broker.log.read([A, B], cursor(given[0]))
        assert not page.lost and ids(page.messages) == given[1:]
        assert page.messages[-1].prev == cursor(given[2]).n
    with opened(server) as later:
        page = later.log.read([A, B], cursor(given[1]))
        assert not page.lost and ids(page.messages) == given[2:]


def test_after_a_restart_ids_jump(server: Valkey) -> None:
    """A cursor inside the gap may be of messages that are gone: it is told so."""
    with opened(server) as broker:
        end = cursor(publish(broker, A)[-1])
        server.restart()
        (given,) = publish(broker, A)

        high = cursor(given).n - 1
        assert cursor(given).epoch == end.epoch and high >= end.n + JUMP
        for n in (end.n + 1, high - 1):
            page = broker.log.read([A], Cursor(end.epoch, n))
            assert told(page) == [(A, str(end), "epoch")] and len(page.messages) == 2
        for n in (end.n, high):
            page = broker.log.read([A], Cursor(end.epoch, n))
            assert not page.lost and ids(page.messages) == [given]


def test_after_a_restart_all_workers_bring_all_again(server: Valkey) -> None:
    """Who came last may be forgotten; of those who were there nobody is seen to leave."""
    with opened(server) as broker:
        watch(broker, A)
        bring(broker, "w", entry("c1", "42", A))
        server.restart()
        assert not bring(broker, "w")
        assert bring(broker, "w", entry("c1", "42", A))
        assert changes(broker, A) == ["occupied", "join 42"]
        assert everybody(broker, A) == ["user:42"]


def test_many_restarts_leave_many_gaps(server: Valkey) -> None:
    """Each is remembered."""
    with opened(server) as broker:
        heads = [now(broker)]
        for _ in range(3):
            server.restart()
            heads += [cursor(publish(broker, A)[-1])]
        for head in heads:
            assert not broker.log.read([A], head).lost
            inside = Cursor(head.epoch, head.n + 5)
            assert [reason for _, _, reason in told(broker.log.read([A], inside))] == ["epoch"]


def test_a_follower_goes_on_over_a_restart(server: Valkey) -> None:
    """What was published meanwhile comes, once, in order, and nothing is said to be lost."""
    with opened(server) as tx, opened(server) as rx:
        follower = rx.log.follow()
        follower.watch(A, B)
        given = publish(tx, A)
        assert ids(receive(follower, 1)) == given
        server.restart()
        given = publish(tx, A, B, A)
        assert ids(receive(follower, 3)) == given
        follower.close()


# -- gone back -----------------------------------------------------------------------------------


def test_where_memory_shows_a_loss_a_new_epoch_begins(server: Valkey, tmp_path: Path) -> None:
    """Acknowledged messages are gone, and this process knows: every cursor from before is told."""
    with opened(server) as broker:
        kept = publish(broker, A)
        server.back_up(tmp_path / "copy")
        gone = publish(broker, A, A)
        server.go_back(tmp_path / "copy")

        given = publish(broker, A)
        assert cursor(given[0]).epoch != cursor(kept[0]).epoch
        for before in (kept[0], *gone):
            page = broker.log.read([A], cursor(before))
            assert [reason for _, _, reason in told(page)] == ["epoch"]
            assert len(page.messages) == 2 and ids(page.messages)[-1:] == given


def test_a_memory_of_wake_ups_is_a_memory(server: Valkey, tmp_path: Path) -> None:
    """One that has only heard of the lost messages knows of the loss as well."""
    with opened(server) as rx:
        follower = rx.log.follow()
        follower.watch(A)
        with opened(server) as tx:
            kept = publish(tx, A)
            assert ids(receive(follower, 1)) == kept
            server.back_up(tmp_path / "copy")
            gone = publish(tx, A)
            assert ids(receive(follower, 1)) == gone
        server.go_back(tmp_path / "copy")

        _, lost = listen(follower, lambda messages, lost: bool(lost))
        assert [(loss.channel, loss.reason) for loss in lost] == [(A, "epoch")]
        assert follower.position.epoch != cursor(kept[0]).epoch
        follower.close()


def test_where_nobody_remembers_no_id_comes_twice(server: Valkey, tmp_path: Path) -> None:
    """The lost ones' numbers are not given out again; who has one of their cursors is told."""
    with opened(server) as broker:
        kept = publish(broker, A)
        server.back_up(tmp_path / "copy")
        gone = publish(broker, A, A)
    server.go_back(tmp_path / "copy")
    with opened(server) as broker:
        given = publish(broker, A)

        assert cursor(given[0]).n > cursor(gone[-1]).n
        page = broker.log.read([A], cursor(gone[-1]))
        assert told(page) == [(A, kept[0], "epoch")] and ids(page.messages) == kept + given
        page = broker.log.read([A], cursor(kept[0]))
        assert not page.lost and ids(page.messages) == given


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Valkey]:
    """A server that keeps what it had when it was last told to save."""
    server = Valkey(tmp_path / "forgetful").start()
    yield server
    server.stop()


def test_two_crashes_between_two_snapshots_give_no_id_twice(forgetful: Valkey) -> None:
    """The second crash takes the jump with it that the first one had caused."""
    with opened(forgetful) as broker:
        kept = publish(broker, A)
    forgetful.ask("SAVE")
    forgetful.restart()
    with opened(forgetful) as broker:
        gone = publish(broker, *[A] * 5)
    forgetful.restart()
    with opened(forgetful) as broker:
        given = publish(broker, *[A] * 6)
        assert not {*kept, *gone} & set(given)
        page = broker.log.read([A], cursor(gone[-1]))
        assert [reason for _, _, reason in told(page)] == ["epoch"]


def test_a_log_that_went_back_behind_an_epoch_begins_another(forgetful: Valkey) -> None:
    """Whoever was told that the first epoch has ended is not told that it goes on."""
    with opened(forgetful) as broker:
        (first,) = publish(broker, A)
        forgetful.ask("SAVE")
        publish(broker, A)
        forgetful.restart()
        (second,) = publish(broker, A)
        forgetful.restart()
        (third,) = publish(broker, A)

        assert len({cursor(id_).epoch for id_ in (first, second, third)}) == 3
        for before in (first, second):
            page = broker.log.read([A], cursor(before))
            assert [reason for _, _, reason in told(page)] == ["epoch"]


def test_all_processes_remember_a_new_epoch(forgetful: Valkey) -> None:
    """Also those that were only told of it, and lived in it since."""
    with opened(forgetful) as one, opened(forgetful) as other:
        publish(one, A)
        publish(other, A)
        forgetful.ask("FLUSHALL")
        publish(one, A)
        (seen,) = publish(other, A)
        forgetful.restart()
        (given,) = publish(other, A)
        assert cursor(given).epoch != cursor(seen).epoch


# -- emptied -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["flushed", "lost its disk"])
def test_an_emptied_server_is_a_new_epoch(server: Valkey, how: str) -> None:
    """Followers are told, too, and everything goes on, whether connections broke or not."""
    empty: Callable[[], object] = {
        "flushed": lambda: server.ask("FLUSHALL"),
        "lost its disk": server.wipe,
    }[how]
    with opened(server) as tx, opened(server) as rx:
        follower = rx.log.follow()
        follower.watch(A)
        (before,) = publish(tx, A)
        assert ids(receive(follower, 1)) == [before]
        empty()
        (given,) = publish(tx, A)

        assert cursor(given).epoch != cursor(before).epoch
        assert told(rx.log.read([A], cursor(before))) == [(A, given, "epoch")]
        messages, lost = listen(follower, lambda messages, lost: bool(messages))
        assert ids(messages) == [given]
        assert {(loss.channel, loss.before, loss.reason) for loss in lost} == {(A, given, "epoch")}
        follower.close()


def test_where_only_the_figures_are_gone_numbers_go_on(server: Valkey) -> None:
    """What is kept keeps its place: nothing gets its number again, and nothing breaks."""
    with opened(server) as broker:
        kept = publish(broker, A, B, A)
        server.ask("DEL", "{push}:meta")
        (given,) = publish(broker, A)

        assert cursor(given).n > cursor(kept[-1]).n
        assert cursor(given).epoch != cursor(kept[0]).epoch
        assert [m.n for m in broker.log.history(A, 9)[0]] == [
            cursor(id_).n for id_ in (kept[0], kept[2], given)
        ]


# -- failed over ---------------------------------------------------------------------------------


def test_a_promoted_replica_gives_no_id_twice(server: Valkey, tmp_path: Path) -> None:
    """It may lack the end of the log; whoever has seen that end is told."""
    replica = Valkey(
        tmp_path / "replica", replicaof=f"127.0.0.1 {server.port}", repl_diskless_sync_delay=0
    ).start()
    try:
        with opened(server) as broker:
            kept = publish(broker, A)
            wait_for_copy(server, replica)
            replica.ask("REPLICAOF", "NO", "ONE")
            gone = publish(broker, A)  # acknowledged by the one that dies
        server.kill()
        with opened(replica) as broker:
            page = broker.log.read([A], cursor(gone[0]))
            assert [reason for _, _, reason in told(page)] == ["epoch"]
            (given,) = publish(broker, A)
            assert cursor(given).n > cursor(gone[0]).n
            page = broker.log.read([A], cursor(kept[0]))
            assert not page.lost and ids(page.messages) == [given]
    finally:
        replica.stop()


def wait_for_copy(server: Valkey, replica: Valkey) -> None:
    """Wait until the replica has all that the server has."""

    def has_all() -> bool:
        copy = replica.ask("INFO", "replication")
        own = server.ask("INFO", "replication")
        is_up = copy["master_link_status"] == "up"
        return is_up and copy["slave_repl_offset"] == own["master_repl_offset"]

    until(has_all, "the replica has all")


def test_one_that_became_a_replica_acknowledges_nothing(server: Valkey, tmp_path: Path) -> None:
    """A worker that is still connected to it is told, and goes on when it is back."""
    other = Valkey(tmp_path / "other").start()
    try:
        with opened(server) as broker:
            publish(broker, A)
            server.ask("REPLICAOF", "127.0.0.1", other.port)
            with pytest.raises(LogUnavailable):
                broker.log.append([Draft(A, "1")])
            server.ask("REPLICAOF", "NO", "ONE")
            assert publish(broker, A)
    finally:
        other.stop()


# -- of another version ----------------------------------------------------------------------------


def test_a_log_of_another_format_is_left_alone(server: Valkey) -> None:
    """It is named, and nothing is written; who has it open goes on, until connections break."""
    with opened(server) as older, opened(server) as later:
        publish(older, A)
        assert len(ids(older.log.history(A, 10)[0])) == 1
        server.ask("HSET", "{push}:meta", "format", "99")
        with pytest.raises(LogUnavailable, match="the log has format 99; this version reads 1"):
            publish(later, A)
        publish(older, A)
        assert len(ids(older.log.history(A, 10)[0])) == 2
        server.cut("normal")
        with pytest.raises(LogUnavailable, match="format 99"):
            publish(older, A)


def test_a_log_from_before_formats_is_the_first(server: Valkey) -> None:
    """It is opened, and nothing is lost."""
    with opened(server) as broker:
        given = publish(broker, A)
    server.ask("HDEL", "{push}:meta", "format")
    with opened(server) as broker:
        assert ids(broker.log.history(A, 10)[0]) == given
