"""/push/openapi.json tells the truth: no route is missing, and the server keeps to it.

What belongs here: the document against the app's routes and against a real server. What does not:
what a route is for (``test_api``, ``transports``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import requests
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pushapp.openapi import document

from .server import API_KEY, PUBLISH_KEY, READ_KEY, Server
from .wire import TIMEOUT

#: The lab, and what is under the prefix for whatever has no route.
NOT_DESCRIBED = {f"lab.{name}" for name in ("page", "static", "publish", "enter", "say")}
NOT_DESCRIBED |= {"lab.mirror", "lab.mirror_socket", "push.unknown"}
NOT_DESCRIBED |= {"push.console_page", "push.console_file"}


def routes(app: Flask) -> set[tuple[str, str]]:
    """Return path and method of every route, as the document spells them."""
    return {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in NOT_DESCRIBED
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def described(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(path, method) for path, operations in found["paths"].items() for method in operations}


def test_every_route_is_described_and_nothing_else(app: Flask, client: FlaskClient) -> None:
    """The app's own routes are the truth."""
    has, says = routes(app), described(client.get("/push/openapi.json").get_json())
    assert not has - says, "describe these in pushapp/openapi/paths.py"
    assert not says - has, "pushapp/openapi/paths.py describes these, which are no routes"


def test_in_an_app_of_others_the_paths_have_its_prefix_and_nothing_at_the_root() -> None:
    """Their /healthz is not ours."""
    paths = document("/live", standalone=False)["paths"]
    assert all(path.startswith("/live/") for path in paths)
    assert "/live/poll" in paths


def test_every_reference_leads_somewhere() -> None:
    """And every schema is used by something."""
    found = document("/push", standalone=True)
    used = set(re.findall(r"#/components/schemas/(\w+)", repr(found)))
    assert used == set(found["components"]["schemas"])


def test_what_stands_in_braces_is_declared() -> None:
    """And no other parameter is said to be in the path."""
    for path, operations in document("/push", standalone=True)["paths"].items():
        for operation in operations.values():
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))


# -- the server keeps to it -----------------------------------------------------------------------

SCHEMA = schemathesis.openapi.from_dict(document("/push", standalone=True))
#: Streams do not end: their refusals alone are checked here.
STREAMS = {"/push/sse", "/push/ws"}
OPERATIONS = {op.label: op for op in (result.ok() for result in SCHEMA.get_all_operations())}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
WHOSE = st.sampled_from([API_KEY, READ_KEY, PUBLISH_KEY, "a-key-of-nobody", None])
BOUNDED = hypothesis.settings(
    max_examples=20,
    derandomize=True,  # the same examples each time: what fails, fails again
    database=None,
    phases=[hypothesis.Phase.generate],
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own: it revokes, and ends what it can."""
    server = Server(tmp_path_factory.mktemp("openapi"), WEB_CONCURRENCY=1).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_server_keeps_to_the_document(
    own_server: Server, session: requests.Session, label: str, mode: GenerationMode
) -> None:
    """Whatever comes, from whom: a status that is described, with the body that is described."""
    operation = OPERATIONS[label]
    streams = operation.path in STREAMS
    if streams and mode.is_positive:
        pytest.skip("what is right begins a stream")
    if mode.is_negative and not (operation.query or operation.path_parameters or operation.body):
        pytest.skip("it takes nothing that could be wrong")

    @BOUNDED
    @hypothesis.given(case=operation.as_strategy(mode), key=WHOSE)
    def check(case: schemathesis.Case, key: str | None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        if streams:
            case.query["channels"] = "not a channel"
        response = case.call(own_server.url, session, headers, timeout=TIMEOUT)
        if response.status_code == 400 and "date" not in {
            name.lower() for name in response.headers
        }:
            return  # a head that breaks HTTP is gunicorn's to refuse: it never reached the app
        case.validate_response(response, CHECKS)

    check()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_what_a_publish_may_hold_is_what_the_document_says(
    own_server: Server, session: requests.Session, mode: GenerationMode
) -> None:
    """All of it is taken, and nothing else."""
    check = positive_data_acceptance if mode.is_positive else negative_data_rejection

    @hypothesis.settings(BOUNDED, max_examples=100)
    @hypothesis.given(case=OPERATIONS["POST /push/publish"].as_strategy(mode))
    def publish(case: schemathesis.Case) -> None:
        case.headers.pop("Idempotency-Key", None)  # it has to be the one in the body
        if mode.is_positive:  # JSON Schema cannot say "at most 30 days from now"
            for draft in case.body.get("messages", [case.body]):
                draft.pop("at", None)
        headers = {"Authorization": f"Bearer {API_KEY}"}
        case.validate_response(case.call(own_server.url, session, headers), [check])

    publish()
