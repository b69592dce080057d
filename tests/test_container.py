"""The Dockerfile, compose.yml and app.json do what they say, as far as this can be tried without
docker and Heroku: their commands run here, with other folders and ports.

What belongs here: ways to ship the standalone server. What does not: serving (``test_deploy``).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .server import API_KEY, ROOT, SECRET, Server, free_port, until
from .valkey import Valkey
from .wire import TIMEOUT, Wire

BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
HEROKU = json.loads((ROOT / "app.json").read_text())


def instructions() -> list[tuple[str, str]]:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    pairs = (line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    return [(name, rest) for name, rest in pairs]


def last(name: str) -> str:
    return [rest for found, rest in instructions() if found == name][-1]


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yml"],
    ],
    ids=lambda command: command[-1],
)
def test_those_who_know_such_files_find_nothing(command: list[str]) -> None:
    """Whatever they call an error, a warning or a hint."""
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile's first stage makes, by its own commands, in folders of the test's.

    The requirements are those of this environment, which the new one sees: a minute less.
    """
    root = tmp_path_factory.mktemp("image")
    (root / "data").mkdir()
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    folder = root
    for name, rest in instructions()[1:]:
        if name == "FROM":
            break
        if name == "WORKDIR":
            folder = root / rest[1:]
            folder.mkdir()
        elif name == "COPY":
            *sources, target = rest.split()
            assert kept >= set(sources), "the .dockerignore keeps it out"
            for source in sources:
                subprocess.run(["cp", "-r", ROOT / source, folder / target], check=True)
        else:
            assert name == "RUN"
            command = rest.replace("/venv", f"{root}/venv")
            done = subprocess.run(
                ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=110
            )
            assert done.returncode == 0, done.stderr
            for packages in root.glob("venv/lib/python*/site-packages"):
                (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    return root


@pytest.fixture
def environ(image: Path) -> dict[str, str]:
    """The container's own environment, and what whoever runs it gives."""
    said = last("ENV").replace("/venv", f"{image}/venv").replace("/data", f"{image}/data")
    own = dict(pair.split("=", 1) for pair in shlex.split(said))
    own["PATH"] = own["PATH"].replace("$PATH", os.environ["PATH"])
    return own | {"PUSH_API_KEYS": API_KEY, "PUSH_SECRET": SECRET, "PORT": str(free_port())}


def test_the_image_serves_and_tells_how_it_is(image: Path, environ: dict[str, str]) -> None:
    """Its command serves from an empty folder; its health check agrees, and ends with it."""
    check = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])

    def is_healthy() -> bool:
        return subprocess.run(check, env=environ, capture_output=True, timeout=30).returncode == 0

    command = json.loads(last("CMD"))
    with subprocess.Popen(command, cwd=image / "data", env=environ) as process:
        try:
            until(lambda: process.poll() is not None or is_healthy(), "it is well", 6 * TIMEOUT)
            wire = Wire(int(environ["PORT"]))
            reply = wire.ask(
                "POST",
                "/push/publish",
                {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}"},
                b'{"channel":"public:a","data":1}',
            )
            wire.close()
            assert reply.status == 200, reply
            assert (image / "data" / "push.db").exists()
        finally:
            process.terminate()
            assert process.wait(6 * TIMEOUT) == 0
    assert not is_healthy()


# -- compose.yml


@pytest.fixture
def composed_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey with the options of the service."""
    program, *options = COMPOSE["valkey"]["command"]
    assert program == "valkey-server"
    pairs = zip(options[::2], options[1::2], strict=True)
    config = {name.removeprefix("--").replace("-", "_"): value or '""' for name, value in pairs}
    valkey = Valkey(tmp_path / "valkey", **config).start()
    yield valkey
    valkey.stop()


def test_its_valkey_keeps_what_was_acknowledged(composed_valkey: Valkey, tmp_path: Path) -> None:
    """The service's environment serves; the doctor has no complaint about its Valkey."""
    given = COMPOSE["pushapp"]["environment"]
    url = given["PUSH_BROKER_URL"].replace("//valkey:6379", f"//127.0.0.1:{composed_valkey.port}")
    server = Server(
        tmp_path, PUSH_BROKER_URL=url, PUSH_TRUSTED_PROXIES=given["PUSH_TRUSTED_PROXIES"]
    )
    try:
        server.start()
        assert server.publish("public:a", 1)
        doctor = subprocess.run(
            [BIN / "pushapp", "doctor"], env=server.environ, capture_output=True, text=True
        )
    finally:
        server.stop()
    assert doctor.returncode == 0, doctor.stdout
    print(doctor.stdout)


def test_its_nginx_is_the_documented_one(tmp_path: Path) -> None:
    """Its command changes where pushapp is, and nothing else."""
    service = COMPOSE["nginx"]
    source, target, _ = service["volumes"][0].split(":")
    shell, option, script = service["command"]
    change = script.partition(" && ")[0].replace(target, str(ROOT / source))
    change = change.replace("/etc/nginx/conf.d/default.conf", str(tmp_path / "default.conf"))
    subprocess.run([shell, option, change], check=True)
    sample = (ROOT / source).read_text()
    assert sample.count("server 127.0.0.1:8000;") == 1
    expected = sample.replace("server 127.0.0.1:8000;", "server pushapp:8000;")
    assert (tmp_path / "default.conf").read_text() == expected


# -- Heroku's app.json


def test_the_button_sets_what_there_is() -> None:
    """Fields that Heroku knows, and settings that the server knows."""
    known = {"name", "description", "keywords", "success_url", "env", "formation"}
    assert set(HEROKU) <= known and len(HEROKU["description"]) <= 140
    documented = (ROOT / "docs" / "protocol.md").read_text()
    assert set(HEROKU["env"]) <= set(re.findall(r"`(PUSH_\w+)", documented))
    for name, entry in HEROKU["env"].items():
        assert set(entry) <= {"description", "generator", "value", "required"}, name
        assert entry.get("generator", "secret") == "secret"
        assert isinstance(entry.get("value", ""), str)


def test_the_button_makes_a_server(tmp_path: Path) -> None:
    """With those values, on a dyno, it serves."""
    given: dict[str, Any] = {
        name: secrets.token_hex(32) if "generator" in entry else entry["value"]
        for name, entry in HEROKU["env"].items()
    }
    server = Server(tmp_path, DYNO="web.1", **given)
    try:
        server.start()
        reply = server.post({"channel": "demo:a", "data": 1}, key=given["PUSH_API_KEYS"])
        assert reply.status == 200, reply
        assert server.ask("GET", HEROKU["success_url"]).status == 200
    finally:
        server.stop()
