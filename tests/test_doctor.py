"""``doctor``: each thing that can be wrong is found, and what to change is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import gevent.monkey
import pytest

from pushapp import doctor, doctor_web
from pushapp.finding import Finding, State
from pushapp.settings import Settings, load

from .nginx import nginx
from .server import API_KEY, READ_KEY, SECRET, Server, free_port

COMPLETE = {"PUSH_API_KEYS": API_KEY, "PUSH_SECRET": SECRET}


def named(name: str, findings: Iterator[Finding]) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def trouble(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {f.name: f for f in findings if f.state is not State.OK}


# -- this machine ----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_bad_on_a_machine_that_serves() -> None:
    """The machine of these tests passes, and nothing is made by looking."""
    findings = list(doctor.look(COMPLETE))
    assert not [str(f) for f in findings if f.state is State.BAD]
    assert not os.listdir()


def test_a_wrong_setting_is_bad_and_the_rest_is_looked_at() -> None:
    """Its own line is shown, and the other checks go on with the defaults."""
    findings = list(doctor.look({**COMPLETE, "PUSH_HEARTBEAT": "often"}))
    assert (findings[0].name, findings[0].state) == ("settings", State.BAD)
    assert "PUSH_HEARTBEAT is 'often'" in findings[0].found
    assert len(findings) > 5


@pytest.mark.parametrize(
    ("soft", "hard", "state", "words"),
    [
        (1024, 1024, State.WARN, "LimitNOFILE="),
        (1024, 65536, State.OK, "raise it"),
        (65536, 65536, State.OK, "enough for 16000"),
    ],
)
def test_open_files_are_compared_with_the_clients(
    soft: int, hard: int, state: State, words: str
) -> None:
    """A hard limit below the cap is told, with where to raise it; a soft one is raised."""
    finding = doctor.fds(Settings(), 16000, soft, hard)
    assert finding.state is state
    assert words in str(finding)


def test_a_cap_that_the_limit_has_lowered_is_told() -> None:
    """The settings cut the cap to the limit in silence: the doctor says by how much."""
    finding = doctor.fds(Settings(max_connections=800), 16000, 1000, 1000)
    assert finding.state is State.WARN
    assert "800 clients, not 16000" in finding.found


def test_half_a_monkey_patch_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some modules patched and others not: the ones left out are named."""
    assert doctor.patching().state is (State.OK), (
        "a plain process, and one that is patched whole, are both fine"
    )
    patched = {"socket", "ssl", "select"}
    monkeypatch.setattr(gevent.monkey, "is_module_patched", patched.__contains__)
    finding = doctor.patching()
    assert finding.state is State.BAD
    assert finding.found == "left out: threading, time"


@pytest.mark.parametrize(
    ("config", "state", "words"),
    [
        ("workers = 2\n", State.BAD, "worker_class is 'sync'"),
        ("worker_class = 'gthread'\n", State.BAD, "'gthread'"),
        ("worker_class = 'gevent'\n", State.BAD, "hooks are not set: post_worker_init"),
        ("from pushapp.gunicorn_conf import *\n", State.OK, "worker_connections"),
        ("from pushapp.gunicorn_conf import *\nworker_connections = 1000\n", State.BAD, "silence"),
        ("import sys; sys.exit('pushapp: no such luck')\n", State.BAD, "no such luck"),
        ("1 / 0\n", State.BAD, "division by zero"),
    ],
)
def test_gunicorns_settings_are_read(config: str, state: State, words: str) -> None:
    """The gunicorn.conf.py of this folder: the worker class, the hooks, room above the cap."""
    path = Path("gunicorn.conf.py")
    path.write_text(config)
    finding = doctor.gunicorn_settings(load(COMPLETE), path)
    assert finding.state is state, finding
    assert words in str(finding)
    assert bool(finding.change) == (state is not State.OK)


def test_a_short_backlog_is_told() -> None:
    """Below what gunicorn asks for a deploy's returning clients are refused by the kernel."""
    assert doctor.backlog(128).state is State.WARN
    assert "net.core.somaxconn=4096" in doctor.backlog(128).change
    assert doctor.backlog(4096).state is State.OK


def test_the_log_is_opened_and_written_to(tmp_path: Path) -> None:
    """It names what an acknowledged message survives, as the setting has it."""
    url = f"sqlite:///{tmp_path}/push.db"
    assert "will be made" in doctor.log(Settings(broker_url=url)).found
    assert not (tmp_path / "push.db").exists()
    (tmp_path / "push.db").touch()
    assert "any process" in doctor.log(Settings(broker_url=url)).found
    assert "power cut" in doctor.log(Settings(broker_url=f"{url}?synchronous=full")).found


def test_a_log_that_is_no_log_is_bad(tmp_path: Path) -> None:
    """A file that is something else is refused in one line."""
    path = tmp_path / "push.db"
    path.write_bytes(b"this is a shopping list, and no database at all" * 100)
    finding = doctor.log(Settings(broker_url=f"sqlite:///{path}"))
    assert finding.state is State.BAD
    assert finding.change


def test_a_log_in_a_folder_that_is_a_file_is_bad(tmp_path: Path) -> None:
    """Where no folder can be made there can be no log."""
    (tmp_path / "file").touch()
    finding = doctor.log(Settings(broker_url=f"sqlite:///{tmp_path}/file/push.db"))
    assert finding.state is State.BAD


def test_a_network_file_system_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's WAL over NFS loses messages: the file system of the log is looked up."""

    class Mount:
        mountpoint, fstype = str(tmp_path.resolve()), "nfs4"

    monkeypatch.setattr(doctor.psutil, "disk_partitions", lambda all: [Mount])
    finding = doctor.log(Settings(broker_url=f"sqlite:///{tmp_path}/push.db"))
    assert finding.state is State.BAD
    assert "nfs4" in finding.found


# -- a server, from outside ------------------------------------------------------------------------


def test_a_server_by_itself_is_well(server: Server) -> None:
    """Every check passes, and the log's promise is named."""
    findings = list(doctor_web.look(server.url, READ_KEY))
    assert not trouble(iter(findings))
    assert "any process" in named("ready", iter(findings)).found
    assert {"long polling", "SSE", "WebSocket"} <= {f.name for f in findings}


def test_the_sample_of_nginx_is_well(server: Server, tmp_path: Path) -> None:
    """docs/nginx.conf breaks nothing that the doctor knows of."""
    with nginx(tmp_path / "nginx", server.port) as port:
        findings = list(doctor_web.look(f"http://127.0.0.1:{port}", READ_KEY))
    assert not trouble(iter(findings))
    assert "nginx" in named("headers", iter(findings)).found


@pytest.mark.parametrize(
    ("replaced", "broken", "change"),
    [
        (
            {
                "proxy_buffering": "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;",
                "proxy_http_version": "",  # chunks pass all the same in 1.1
            },
            "SSE",
            "proxy_buffering off",
        ),
        (
            {"proxy_buffering": "gzip on; gzip_proxied any; gzip_types text/event-stream;"},
            "SSE",
            "gzip_types",
        ),
        ({"proxy_read_timeout": "proxy_read_timeout 2s;"}, "long polling", "proxy_read_timeout"),
        ({"proxy_set_header Upgrade": ""}, "WebSocket", "Upgrade $http_upgrade"),
        (
            {"proxy_set_header Host": "proxy_set_header Host inside.example;"},
            "WebSocket",
            "proxy_set_header Host",
        ),
    ],
    ids=["buffering", "gzip", "timeout", "upgrade", "host"],
)
def test_a_proxy_in_the_way_is_found(
    server: Server, tmp_path: Path, replaced: dict[str, str], broken: str, change: str
) -> None:
    """What the sample says against it is taken out: the doctor finds it and says to put it in."""
    with nginx(tmp_path / "nginx", server.port, replaced) as port:
        found = trouble(doctor_web.look(f"http://127.0.0.1:{port}", READ_KEY))
    assert broken in found
    assert found[broken].state is State.BAD
    assert change in found[broken].change


def test_nobody_there_is_bad() -> None:
    """A port where nothing listens is one finding, not a traceback."""
    (finding,) = doctor_web.look(f"http://127.0.0.1:{free_port()}", None)
    assert finding.state is State.BAD
    assert "refused" in finding.found


def test_a_wrong_key_is_told(server: Server) -> None:
    """It is the key that has to be changed, and that is said."""
    finding = named("api key", doctor_web.look(server.url, "not-a-key-of-this-server"))
    assert finding.state is State.BAD
    assert "--api-key" in finding.change


@pytest.mark.parametrize("path", ["/elsewhere", "/healthz"])
def test_a_wrong_prefix_is_told(server: Server, path: str) -> None:
    """Something answers, and it is not the push server's poll."""
    (finding,) = doctor_web.look(server.url + path, READ_KEY)
    assert finding.state is State.BAD


@pytest.mark.parametrize("url", ["push.example.com", "ftp://push.example.com", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    """With the field, what came, and what was expected."""
    with pytest.raises(ValueError, match="expected http://HOST"):
        doctor_web.look(url, None)
