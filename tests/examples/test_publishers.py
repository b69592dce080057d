"""The examples that publish: what they sent is there once, whatever became of the answer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..needs import needs
from ..server import API_KEY, READ_KEY, ROOT, Server
from .conftest import Forgetful

EXAMPLES = ROOT / "examples"
COMMANDS = {
    "curl": ("sh", "publish/publish.sh"),
    "python": (sys.executable, "publish/publish.py"),
    "node": ("node", "publish/publish.mjs"),
    "java": ("java", "java/Publisher.java", "channel"),
}


def run(
    name: str, port: int, *arguments: str, key: str = API_KEY
) -> subprocess.CompletedProcess[str]:
    program, file, *first = COMMANDS[name]
    if name == "java":
        needs("javac")  # which a Java that runs source files has with it
    needs("curl")
    return subprocess.run(
        [needs(program), str(EXAMPLES / file), *first, *arguments],
        env={**os.environ, "PUSH_URL": f"http://127.0.0.1:{port}/push", "PUSH_KEY": key},
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_what_was_sent_twice_is_published_once(
    server: Server, forgetful: Forgetful, channel: str, name: str
) -> None:
    """The first answer is lost on the way; the id is that of the one message that there is."""
    done = run(name, forgetful.port, channel, '{"text":"Grüße"}')
    assert done.returncode == 0, done.stderr
    (message,) = server.look(f"/push/channels/{channel}/history")["messages"]
    assert message["data"] == {"text": "Grüße"}
    assert message["id"] in done.stdout


@pytest.mark.parametrize("name", ["curl", "python", "node"])  # a Java takes long to begin
def test_a_refusal_says_why(server: Server, channel: str, name: str) -> None:
    """It ends, not well, with the server's words."""
    done = run(name, server.port, channel, "1", key=READ_KEY)
    assert done.returncode != 0
    assert "403" in done.stderr and "publish" in done.stderr
