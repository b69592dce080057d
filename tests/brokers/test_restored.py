"""A file that was restored, or copied with all that lies beside it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pushapp.broker import open_broker
from pushapp.broker.interface import Broker, Published
from pushapp.message import Draft
from pushapp.retention import Retention

ROOT = Path(__file__).parent.parent.parent

PUBLISHER = """
import sys
from pushapp.broker import open_broker
from pushapp.message import Draft
from pushapp.retention import Retention
broker = open_broker("sqlite:///" + sys.argv[1], lambda channel: Retention(1000, 3600.0))
for n in range(50):
    broker.log.append([Draft("a", str(n))])
print("done", flush=True)
sys.stdin.read()
"""


def opened(path: Path) -> Broker:
    return open_broker(f"sqlite:///{path}", lambda channel: Retention(1000, 3600.0))


def published(broker: Broker, data: str) -> str:
    (receipt,) = broker.log.append([Draft("a", data)])
    assert isinstance(receipt, Published)
    return receipt.id


@pytest.mark.parametrize("how", ["over it", "in its place"])
def test_a_restored_backup_is_a_new_epoch(tmp_path: Path, how: str) -> None:
    """Even where the file system gives it the old file's inode number: no id comes twice, and
    whoever has seen what is gone is told."""
    path, backup = tmp_path / "push.db", tmp_path / "backup"
    broker = opened(path)
    published(broker, "1")
    broker.close()
    shutil.copy(path, backup)
    broker = opened(path)
    lost = published(broker, "2")
    cursor = broker.log.read((), None).cursor
    broker.close()

    if how == "in its place":
        path.unlink()
    shutil.copy(backup, path)

    broker = opened(path)
    page = broker.log.read(["a"], cursor)
    assert [loss.reason for loss in page.lost] == ["epoch"]
    assert [message.data for message in page.messages] == ["1"]
    assert published(broker, "3") != lost
    broker.close()


def test_a_restart_that_lost_nothing_costs_no_cursor(tmp_path: Path) -> None:
    """The same epoch, nothing told."""
    path = tmp_path / "push.db"
    broker = opened(path)
    published(broker, "1")
    cursor = broker.log.read((), None).cursor
    broker.close()
    broker = opened(path)
    assert not broker.log.read(["a"], cursor).lost
    broker.close()


def test_a_killed_servers_folder_may_be_copied(tmp_path: Path) -> None:
    """What was acknowledged is in the write-ahead log still, and comes along."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(here / "push.db")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"done\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    shutil.copytree(here, there)
    broker = opened(there / "push.db")
    messages, _ = broker.log.history("a", 100)
    assert [message.data for message in messages] == [str(n) for n in range(50)]
    broker.close()
