"""One connection that many share: whoever comes while it is busy is sent together with the others.

What belongs here: sending commands and giving each caller its own answer, once more where the
connection broke. What does not: what the commands are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import NoScriptError, ResponseError

from ...errors import LogUnavailable
from .scripts import Script
from .server import PATIENCE, TROUBLE, Server, is_gone, unavailable

_TOGETHER = 64  # commands in one write
_TRIES = 3  # a broken connection, then a server that forgot the scripts


class _Job:
    """A command, and what becomes of it."""

    __slots__ = ("answer", "args", "deadline", "done", "error", "script", "turn")

    def __init__(self, script: Script | None, args: Sequence[object]) -> None:
        self.script, self.args = script, args
        self.deadline = time.monotonic() + PATIENCE
        self.answer: Any = None
        self.error: Exception | None = None
        self.done = False
        self.turn = threading.Lock()  # opened when it is done, or has to see to the others
        self.turn.acquire()

    def end(self, answer: Any = None, error: Exception | None = None) -> None:
        self.answer, self.error, self.done = answer, error, True


class Line:
    """Every command may be sent twice where the connection breaks under it: each has to be such
    that this does no harm (an append has its key)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._mutex = threading.Lock()
        self._waiting: list[_Job] = []
        self._leader: _Job | None = None  # whose caller has the connection
        self._connection: Any = None
        self._closed = False

    def run(self, script: Script, *args: object, first: bool = False) -> Any:
        """Run a script; return its answer without the epoch and head that it begins with.
        ``first``: before all others that wait, as delivery goes before catching up.

        Raises:
            LogUnavailable: the server did not answer in time, or cannot do it now.
        """
        _, _, *rest = self.head(script, *args, first=first)
        return rest

    def head(self, script: Script, *args: object, first: bool = False) -> Any:
        """Run a script; return all that it answers: epoch and head first."""
        answer = self._do(_Job(script, args), first)
        self._server.saw(answer[0], int(answer[1]))
        return answer

    def ask(self, *command: object) -> Any:
        """Send a plain command; return its answer.

        Raises:
            LogUnavailable: the server did not answer in time, or refuses.
        """
        return self._do(_Job(None, command))

    def _do(self, job: _Job, first: bool = False) -> Any:
        jobs: list[_Job] = []
        with self._mutex:
            self._waiting.insert(0 if first else len(self._waiting), job)
            leads = self._leader is None
            if leads:
                self._leader = job
        try:
            if not leads:
                job.turn.acquire()
            if not job.done:
                with self._mutex:
                    jobs, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                self._serve(jobs)
        finally:
            self._hand_on(job, jobs)
        if job.error is not None:
            raise job.error
        return job.answer

    def _hand_on(self, job: _Job, served: list[_Job]) -> None:
        """Tell those that were served; give the connection to who has waited longest. (One lock
        for all would let a caller that comes again at once overtake the others for ever.)"""
        for other in served:
            other.turn.release()
        with self._mutex:
            if not job.done and job in self._waiting:  # its caller was interrupted
                self._waiting.remove(job)
            if self._leader is job:
                self._leader = self._waiting[0] if self._waiting else None
                if self._leader is not None:
                    self._leader.turn.release()

    def _serve(self, jobs: list[_Job]) -> None:
        """See that all of ``jobs`` end, whatever happens."""
        error: Exception = LogUnavailable("the log is closed or was changed again and again")
        try:
            for _ in range(_TRIES):
                self._drop_late(jobs)
                jobs = [job for job in jobs if not job.done]
                if not jobs or self._closed:
                    return
                try:
                    self._send(jobs)
                except BrokenConnection as broken:  # once more: nobody knows how far it came
                    self._hang_up()
                    error = unavailable(broken)
                except TROUBLE as trouble:
                    self._hang_up()
                    error = unavailable(trouble)
                    return
        except BaseException:
            self._hang_up()
            raise
        finally:
            for job in jobs:
                if not job.done:
                    job.end(error=error)

    def _drop_late(self, jobs: list[_Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            if now > job.deadline:
                job.end(error=LogUnavailable("Valkey/Redis: no answer in time"))

    def _send(self, jobs: list[_Job]) -> None:
        """Send all, read all answers; what has to be sent again is not done afterwards."""
        connection = self._connection
        if connection is None or not connection.is_connected:  # redis-py would do it unseen
            connection = self._connection = self._server.connect()
        asked: dict[object, list[_Job]] = {}  # who reads the same shares one answer
        for job in jobs:
            reads = job.script is not None and job.script.reads
            asked.setdefault((job.script, tuple(job.args)) if reads else job, []).append(job)
        commands = [
            job.args if job.script is None else self._server.command(job.script, job.args)
            for job, *_ in asked.values()
        ]
        connection.send_packed_command(connection.pack_commands(commands))
        forgotten = lost = gone = False
        for same in asked.values():
            answer, failure = None, None
            try:
                answer = connection.read_response(disconnect_on_error=False)
            except NoScriptError:
                forgotten = True
                continue
            except ResponseError as error:
                if str(error).startswith("LOGLOST"):
                    lost = True
                    continue
                gone = gone or is_gone(error)
                failure = unavailable(error)
            for job in same:
                job.end(answer, failure)
        if forgotten or gone:
            self._hang_up()  # a new connection loads them, and finds the right server
        elif lost:
            self._server.adopt(connection)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def close(self) -> None:
        """Let go of the connection; idempotent."""
        self._closed = True
        with suppress(LogUnavailable):
            self.ask("PING")  # is refused, when whoever has the connection has done with it
        self._hang_up()
