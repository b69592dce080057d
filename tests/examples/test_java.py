"""The examples in Java: what a team with a Spring ``@ServerEndpoint`` looks for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..jwts import token
from ..needs import needs
from ..other_clients.line import Line
from ..other_clients.program import Program
from ..server import API_KEY, ROOT, SECRET, Server, until

FAST = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both, compiled once."""
    folder = tmp_path_factory.mktemp("classes")
    sources = sorted((ROOT / "examples" / "java").glob("*.java"))
    command = [needs("javac"), "-Xlint:all", "-Werror", "-d", folder, *sources]
    subprocess.run(command, check=True, timeout=300)
    return folder


@pytest.fixture
def publisher(classes: Path, server: Server) -> Callable[..., str]:
    """Run the publisher; return what it prints."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [needs("java"), *FAST, "-cp", classes, "Publisher", *arguments],
            env=environ(server.port, PUSH_KEY=API_KEY, PUSH_SECRET=SECRET),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def environ(port: int, **more: str) -> dict[str, str]:
    return {**os.environ, "PUSH_URL": f"http://127.0.0.1:{port}/push", **more}


@pytest.fixture
def listener(classes: Path, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []
    errors = (tmp_path / "errors").open("ab+")

    def start(port: int, channels: str, bearer: str) -> Program:
        command = [needs("java"), *FAST, "-cp", str(classes), "Listener", channels]
        programs.append(Program(channels, command, environ(port, PUSH_TOKEN=bearer), errors))
        return programs[-1]

    yield start
    for program in programs:
        program.close()
    errors.seek(0)
    print(errors.read().decode())
    errors.close()


def test_to_one_to_all_and_how_many(
    server: Server, publisher: Callable[..., str], listener: Callable[..., Program]
) -> None:
    """What is for one person reaches nobody else; who comes back has missed nothing."""
    line = Line(server.port)
    ann = listener(line.port, "user:ann,everyone", publisher("token", "ann"))
    bob = listener(server.port, "user:bob,everyone", token(user="bob"))
    until(lambda: online(server) == 2, "both are there", 60)
    assert publisher("online", "everyone") == "2"
    line.cut()
    publisher("user", "ann", '"for Ann"')
    publisher("all", '{"id":"for all","cursor":"none of ours"}')
    line.mend()
    for program in (ann, bob):
        program.wait_for(lambda said: "for all" in said)
    assert ["for Ann" in said for said in ann.said] == [True, False]
    assert len(bob.said) == 1
    line.cut()
    line.mend()
    server.publish("everyone", "again")
    ann.wait_for(lambda said: "again" in said)
    assert len(ann.said) == 3  # nothing twice
    line.cut()


def online(server: Server) -> int:
    count: int = server.look("/push/channels/everyone")["online"]
    return count


def test_who_may_not_is_told_and_ends(server: Server, listener: Callable[..., Program]) -> None:
    """A token that is none of ours ends it; it does not knock for ever."""
    program = listener(server.port, "user:ann", "no token")
    with pytest.raises(AssertionError, match="ended"):
        program.wait("a message")
