"""The ``pushapp`` command, as a shell has it: output, exit codes, one line for what went wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pushapp.settings import Settings
from pushapp.tokens import Tokens

from .clients import Refused
from .server import API_KEY, PUBLISH_KEY, ROOT, SECRET, Server, free_port
from .wire import TIMEOUT

PUSHAPP = [sys.executable, "-m", "pushapp.cli"]


def environ(**settings: object) -> dict[str, str]:
    names = ("PUSH_", "PORT", "BIND", "REDIS_", "DYNO", "WEB_", "GUNICORN_")
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(names)}
    return {**inherited, "PYTHONPATH": str(ROOT), **{n: str(v) for n, v in settings.items()}}


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run one command in an empty folder: ``shell("publish", "a:b", "1", input=b"")``."""

    def run(
        *arguments: str, input: bytes = b"", **settings: object
    ) -> subprocess.CompletedProcess[bytes]:
        known = {"PUSH_URL": server.url, "PUSH_API_KEYS": API_KEY, **settings}
        return subprocess.run(
            [*PUSHAPP, *arguments], cwd=tmp_path, env=environ(**known), input=input,
            capture_output=True, timeout=3 * TIMEOUT,
        )  # fmt: skip

    return run


def kept(server: Server, channel: str) -> list[Any]:
    return list(server.look(f"/push/channels/{channel}/history")["messages"])


def failed(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """Check that it failed with this code and no traceback; return its last line."""
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert not done.stdout
    return said.splitlines()[-1]


# -- publish ---------------------------------------------------------------------------------------


def test_publish_prints_the_id(shell: Any, server: Server, channel: str) -> None:
    """The id of what the log has, and nothing else, is on stdout."""
    done = shell("publish", channel, '{"text": "hällo"}', "--event", "chat.said")
    (message,) = kept(server, channel)
    assert done.stdout.decode() == message["id"] + "\n"
    assert (message["data"], message["event"]) == ({"text": "hällo"}, "chat.said")


@pytest.mark.parametrize(
    ("arguments", "input", "data"),
    [
        (["--text", "plain {words}"], b"", "plain {words}"),
        (["-"], b"[1, 2]\n", [1, 2]),
        (["--text", "-"], "grüße\n".encode(), "grüße"),
        (["--text", "-"], b"\xff!", "\ufffd!"),
        (["null"], b"", None),
        (["--", "-1"], b"", -1),
    ],
)
def test_publish_takes_json_text_and_stdin(
    arguments: list[str], input: bytes, data: object, shell: Any, server: Server, channel: str
) -> None:
    """DATA is JSON, with --text as it is, and "-" is what comes on stdin."""
    done = shell("publish", channel, *arguments, input=input)
    assert done.returncode == 0, done.stderr
    assert [message["data"] for message in kept(server, channel)] == [data]


def test_publish_passes_its_options_on(shell: Any, server: Server, channel: str) -> None:
    """--retain keeps the value, --delay schedules and prints the id that cancels."""
    assert shell("publish", "--retain", channel, "1").returncode == 0
    assert server.look(f"/push/channels/{channel}")["retained"]["data"] == 1
    done = shell("publish", "--delay", "3600", "--ttl", "5", channel, "2")
    scheduled = done.stdout.decode().strip()
    assert scheduled.startswith("s")
    headers = {"Authorization": f"Bearer {API_KEY}"}
    assert server.ask("DELETE", f"/push/scheduled/{scheduled}", headers).status == 200


@pytest.mark.parametrize("data", ["{", "NaN", "1e999", "", "[" * 100_000])
def test_publish_says_what_is_no_json(data: str, shell: Any, channel: str) -> None:
    """Wrong usage, code 2, and how to send it all the same."""
    assert "--text" in failed(shell("publish", channel, "-", input=data.encode()), 2)


def test_publish_says_what_the_server_refuses(shell: Any, channel: str) -> None:
    """Code 1, and the server's own words in one line."""
    assert "channel" in failed(shell("publish", "no spaces please", "1"), 1)
    assert "401" in failed(shell("publish", channel, "1", PUSH_API_KEYS="wrong"), 1)
    assert "PUSH_API_KEYS" in failed(shell("publish", channel, "1", PUSH_API_KEYS=""), 1)


def test_a_server_that_is_not_there(shell: Any) -> None:
    """It is tried until the time is up, and then said where nobody answers."""
    url = f"http://127.0.0.1:{free_port()}"
    said = failed(shell("publish", "a:b", "1", PUSH_URL=url), 1)
    assert f"no answer from {url}" in said and "PUSH_URL" in said


def test_what_is_no_url(shell: Any) -> None:
    """Wrong usage, code 2."""
    assert "expected http" in failed(shell("tail", "a:b", "--url", "push.example.com"), 2)


# -- where the key is found ------------------------------------------------------------------------


def test_the_kept_key_serves_this_machine_alone(shell: Any, tmp_path: Path, channel: str) -> None:
    """What `pushapp run` keeps in var/ is used for 127.0.0.1, and sent to no other machine."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "api-key").write_text(API_KEY + "\n")
    assert shell("publish", channel, "1", PUSH_API_KEYS="").returncode == 0
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        elsewhere = f"http://127.0.0.2:{port}"
        command = [*PUSHAPP, "publish", channel, "1", "--url", elsewhere]
        process = subprocess.Popen(command, cwd=tmp_path, env=environ(), stderr=subprocess.DEVNULL)
        try:
            listener.settimeout(TIMEOUT)
            connection, _ = listener.accept()
            with connection:
                head = connection.recv(65536)
        finally:
            process.kill()
            process.wait()
    assert head.startswith(b"POST /push/publish")
    assert b"Authorization" not in head


def test_of_several_keys_one_that_publishes_is_used(shell: Any, channel: str) -> None:
    """PUSH_API_KEYS may be the server's own list."""
    keys = f"read:some-reader,publish:{PUBLISH_KEY}"
    assert shell("publish", channel, "1", PUSH_API_KEYS=keys).returncode == 0


# -- tail ------------------------------------------------------------------------------------------


class Tail:
    """A running ``pushapp tail``."""

    def __init__(self, url: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PUSHAPP, "tail", *arguments],
            env=environ(PUSH_URL=url, PUSH_API_KEYS=API_KEY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # whoever runs the tests in the background has told all of them to ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self.process.stdout is not None
        self.out = self.process.stdout

    def line(self) -> str:
        line = self.out.readline().decode()
        assert line.endswith("\n"), "it has ended"
        return line[:-1]

    def end(self) -> tuple[int, str]:
        """Press Ctrl-C; return its code and what is on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, errors.decode()


@pytest.fixture
def tail() -> Iterator[Callable[..., Tail]]:
    tails: list[Tail] = []

    def start(url: str, *arguments: str) -> Tail:
        tails.append(Tail(url, *arguments))
        return tails[-1]

    yield start
    for one in tails:
        one.process.kill()
        one.process.communicate()


def test_tail_prints_one_json_line_a_message(tail: Any, server: Server, channel: str) -> None:
    """What was kept, and what comes, each as the message that the wire has."""
    first = server.publish(channel, {"n": 1})
    running = tail(server.url, channel, "--history", "5")
    assert json.loads(running.line())["id"] == first
    second = server.publish(channel, "two\nlines")
    message = json.loads(running.line())
    assert (message["id"], message["prev"], message["data"]) == (second, first, "two\nlines")


def test_tail_prints_text(tail: Any, server: Server, channel: str) -> None:
    """One line a message that a terminal cannot obey: no control character gets through."""
    server.publish(channel, "one\ntwo \x1b[2J grüße")
    server.publish(channel, {"n": 1})
    running = tail(server.url, channel, "--history", "5", "--format", "text")
    _, name, text = running.line().split(" ", 2)
    assert (name, text) == (channel, "one\\ntwo \\x1b[2J grüße")
    assert running.line().endswith(f'{channel} {{"n":1}}')


def test_ctrl_c_ends_tail_quietly(tail: Any, server: Server, channel: str) -> None:
    """130, as a shell has it, and not a word."""
    server.publish(channel, 1)
    running = tail(server.url, channel, "--history", "1")
    running.line()
    assert running.end() == (130, "")


def test_tail_reads_what_nobody_may(tail: Any, server: Server) -> None:
    """The api key reads a channel that is not public."""
    server.publish("private:tail", 1)
    assert json.loads(tail(server.url, "private:tail", "--history", "1").line())["data"] == 1


def test_tail_goes_on_over_a_restart(tail: Any, make_server: Callable[..., Server]) -> None:
    """What is published before, while and after the server restarts comes once, in order."""
    server = make_server(WEB_CONCURRENCY=1)
    server.publish("public:tail", 0)
    running = tail(server.url, "public:tail", "--history", "1")
    assert json.loads(running.line())["data"] == 0
    server.publish("public:tail", 1)
    assert json.loads(running.line())["data"] == 1
    server.restart()
    server.publish("public:tail", 2)
    server.publish("public:tail", 3)
    assert [json.loads(running.line())["data"] for _ in range(2)] == [2, 3]


def test_tail_says_what_is_missing(tail: Any, server: Server) -> None:
    """A cursor that the log does not know is told on stderr; stdout has messages alone."""
    server.publish("public:lost", "kept")
    running = tail(server.url, "public:lost", "--cursor", "another.1")
    server.publish("public:lost", "marker")
    while json.loads(running.line())["data"] != "marker":
        pass
    code, said = running.end()
    assert code == 130
    assert '"reason":"epoch"' in said and said.startswith("missing: ")


def test_tail_ends_with_its_pipe(server: Server, channel: str) -> None:
    """``pushapp tail … | head -1`` ends without a traceback."""
    server.publish(channel, 1)
    running = Tail(server.url, channel, "--history", "1")
    running.line()
    running.out.close()
    server.publish(channel, 2)
    assert running.process.wait(TIMEOUT) == 1
    assert running.process.stderr is not None
    with running.process.stderr as errors:
        assert errors.read() == b""


# -- run -------------------------------------------------------------------------------------------


def test_run_says_that_the_port_is_taken(shell: Any) -> None:
    """One clear line with what to do, before gunicorn tries five times."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = failed(shell("run", PORT=port, PUSH_SECRET=""), 1)
    assert f"port {port} cannot be used" in line
    assert "PORT=8001" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "http"), ("PORT", "99999"), ("WEB_CONCURRENCY", "many"), ("PUSH_HEARTBEAT", "often")],
)
def test_run_says_what_is_wrong(name: str, value: str, shell: Any) -> None:
    """A wrong setting is one line."""
    assert f"{name} is '{value}'" in failed(shell("run", PUSH_SECRET="s" * 32, **{name: value}), 1)


def test_run_keeps_its_keys_to_itself(shell: Any, tmp_path: Path) -> None:
    """They are made once, for their owner's eyes alone, and used again."""
    shell("run", PUSH_API_KEYS="", PORT="http")
    files = [tmp_path / "var" / name for name in ("api-key", "secret")]
    before = [file.read_text() for file in files]
    assert [oct(file.stat().st_mode)[-3:] for file in files] == ["600", "600"]
    assert all(len(text.strip()) >= 32 for text in before)
    shell("run", PUSH_API_KEYS="", PORT="http")
    assert [file.read_text() for file in files] == before


def test_run_prints_no_key_that_somebody_has_chosen(tmp_path: Path) -> None:
    """What it prints may end in a log: its ready line holds a key that it made, or none."""
    known = environ(PUSH_API_KEYS=API_KEY, PUSH_SECRET=SECRET, PORT=free_port(), WEB_CONCURRENCY=1)
    command = [*PUSHAPP, "run"]
    said = b""
    with subprocess.Popen(command, cwd=tmp_path, env=known, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for line in process.stdout:
            said += line
            if line.startswith(b"  curl "):
                break
        process.kill()
    assert b"Bearer KEY" in said and b"(its key: one of PUSH_API_KEYS)" in said
    assert API_KEY.encode() not in said


def test_run_in_a_folder_that_cannot_be_written(shell: Any, tmp_path: Path) -> None:
    """Where var cannot be made it says so in a line."""
    (tmp_path / "var").write_text("a file")
    assert "var/" in failed(shell("run", PUSH_API_KEYS="", PUSH_SECRET=""), 1)


# -- token -----------------------------------------------------------------------------------------


def test_token_prints_one_that_the_server_takes(shell: Any) -> None:
    """All that it can say, and for how long; channels one by one or with commas."""
    options = ["--channels", "room:*,news:all", "--channels", "a:1", "--publish", "room:1"]
    done = shell("token", "--user", "42", *options, "--expires", "15m", "--member", '{"n":1}',
                 PUSH_SECRET=SECRET)  # fmt: skip
    token = Tokens(Settings(secret=SECRET)).verify(done.stdout.decode().strip())
    assert (token.user, token.channels) == ("42", ("room:*", "news:all", "a:1"))
    assert (token.publish, token.member) == (("room:1",), {"n": 1})
    assert 880 < token.expires - time.time() <= 901


def test_token_takes_the_kept_secret(shell: Any, tmp_path: Path) -> None:
    """The one that `pushapp run` has made; without any it says what is missing."""
    assert "PUSH_SECRET is not set" in failed(shell("token", "--user", "42"), 1)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "secret").write_text(SECRET)
    done = shell("token", "--user", "42")
    assert Tokens(Settings(secret=SECRET)).verify(done.stdout.decode().strip()).user == "42"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--user", "a b"], 1, "user"),
        (["--user", "42", "--channels", "**"], 1, "channels"),
        (["--user", "42", "--expires", "soon"], 2, "1h"),
        (["--user", "42", "--member", "x"], 2, "JSON"),
        ([], 2, "--user"),
    ],
)
def test_a_wrong_token_is_not_printed(
    shell: Any, options: list[str], code: int, words: str
) -> None:
    """One line says what does not fit."""
    assert words in failed(shell("token", *options, PUSH_SECRET=SECRET), code)


# -- revoke, disconnect ----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["revoke", "disconnect"])
def test_a_user_is_let_go(
    command: str, shell: Any, server: Server, connect: Any, tmp_path: Path
) -> None:
    """Who listens is told so; nothing is printed."""
    user = f"{tmp_path.name}-{command}"
    done = shell("token", "--user", user, PUSH_SECRET=SECRET)
    headers = {"Authorization": f"Bearer {done.stdout.decode().strip()}"}
    waiting = connect("sse", server, [f"user:{user}"], headers=headers)
    done = shell(command, "--user", user)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    with pytest.raises(Refused):
        waiting.receive()


def test_one_token_is_revoked(shell: Any) -> None:
    """From stdin, where no other process sees it; a second time it counts for nothing."""
    text = shell("token", "--user", "42", PUSH_SECRET=SECRET).stdout
    done = shell("revoke", "--token", "-", input=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert "revoked" in failed(shell("revoke", "--token", "-", input=text), 1)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["revoke"], 2, "--everybody"),
        (["revoke", "--user", "42", "--everybody"], 2, "--everybody"),
        (["revoke", "--user", "42", "--token", "x"], 2, "--everybody"),
        (["revoke", "--token", "x"], 1, "token"),
        (["revoke", "--user", "a b"], 1, "user"),
        (["revoke", "--user", "42", "--before", "1e14"], 1, "before"),
        (["disconnect"], 2, "--connection"),
        (["disconnect", "--connection", "c1"], 1, "connection"),
    ],
)
def test_nobody_is_let_go_by_mistake(shell: Any, options: list[str], code: int, words: str) -> None:
    """One line says what does not fit."""
    assert words in failed(shell(*options), code)


# -- the rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        ["publish"],
        ["tail"],
        ["feed", "system"],
        ["feed", "follow"],
        ["token"],
        ["doctor"],
        ["revoke"],
        ["disconnect"],
    ],
    ids=" ".join,
)
def test_each_command_has_examples(command: list[str], shell: Any) -> None:
    """--help shows how it is typed."""
    done = shell(*command, "--help")
    assert done.returncode == 0
    assert f"pushapp {' '.join(command)}" in done.stdout.decode().partition("\n")[2]


def test_doctor_exits_with_1_where_something_is_bad(shell: Any, server: Server) -> None:
    """A script can ask it: 0 when all is well, 1 when not, with each finding on a line."""
    done = shell("doctor", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert done.stdout.startswith(b"bad   reachable: ")
    done = shell("doctor", PUSH_SECRET="s" * 32)
    assert done.returncode == 0, done.stdout
    assert b"\nok    log: " in done.stdout
    done = shell("doctor")
    assert done.returncode == 1
    assert b"PUSH_SECRET is not set" in done.stdout


def test_doctor_takes_the_kept_keys(shell: Any, tmp_path: Path) -> None:
    """Where `pushapp run` has made them, the repository's gunicorn.conf.py is content with them."""
    shell("run", PUSH_API_KEYS="", PORT="http")
    (tmp_path / "gunicorn.conf.py").write_text((ROOT / "gunicorn.conf.py").read_text())
    done = shell("doctor", PUSH_API_KEYS="")
    assert done.returncode == 0, done.stdout
    assert b"\nok    gunicorn.conf.py: gevent workers" in done.stdout


def test_a_file_that_is_not_there(shell: Any) -> None:
    """``feed follow`` names it in one line."""
    assert "no-such-file: No such file" in failed(shell("feed", "follow", "no-such-file"), 1)
