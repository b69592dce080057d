"""Fixtures: the matrix of the rows that this run asks for. No tests and no helpers here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import cast

import pytest

from ..jquery import jquery_file
from ..needs import needs
from .matrix import Matrix, Row
from .report import write_report
from .visit import NO_JQUERY, OWN_JQUERY

_WIDTH = int(os.environ.get("NETWORKS_WIDTH", "5"))  # visits at once


@pytest.fixture(scope="module")
def matrix(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Matrix]:
    """All rows that were selected, visited together; each test waits for its own."""
    rows: list[Row] = [
        cast(Row, item.callspec.params["row"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "matrix" in item.fixturenames
    ]
    cache = request.config.cache
    assert cache is not None
    for version in {form.jquery for form, _ in rows} - {OWN_JQUERY, NO_JQUERY}:
        jquery_file(cache, version)
    folder = tmp_path_factory.mktemp("networks")
    matrix = Matrix(rows, _WIDTH, folder, cache.mkdir("jquery"), needs("chromium"))
    yield matrix
    matrix.close()
    write_report(matrix)
