"""What the attacks share: one server, as it stands on the internet behind one proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..server import Server


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("attacked"),
        WEB_CONCURRENCY=1,
        PUSH_TRUSTED_PROXIES=1,
        PUSH_TOKEN_IN_URL=1,
        arguments=["--access-logfile", "-"],
    ).start()
    yield server
    server.stop()
