"""What an operator can set, and the one line that a wrong setting gets."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from typing import Any

import pytest

from pushapp.errors import SettingsError
from pushapp.retention import Retention
from pushapp.settings import FDS_RESERVED, ApiKey, Settings, load

NEEDED = {"PUSH_API_KEYS": "key", "PUSH_SECRET": "s" * 32}


def loaded(**environ: object) -> Settings:
    return load({**NEEDED, **environ})


def refused(environ: Mapping[str, object], **how: Any) -> SettingsError:
    with pytest.raises(SettingsError) as error:
        load(environ, **how)
    assert "\n" not in str(error.value)
    return error.value


def test_what_is_not_set_has_its_default() -> None:
    """One place for each default: the dataclass and the reader say the same."""
    assert loaded() == Settings(
        secret="s" * 32,
        api_keys=(ApiKey("key"),),
        max_connections=loaded().max_connections,
    )


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_is_needed_stops_the_start_where_it_is_missing(name: str) -> None:
    """Empty is missing, too."""
    for value in (None, "", "  "):
        error = refused({**NEEDED, name: value})
        assert error.name == name
        assert "is not set" in str(error)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PUSH_BROKER_URL", ["push.db", "mysql://host/db", "sqlite"]),
        ("PUSH_API_KEYS", ["a b", "write:a", "read:", "é", "a,read:a"]),
        ("PUSH_SECRET", ["s" * 31, "s" * 32 + ",short", "short," + "s" * 32]),
        ("PUSH_TOKEN_IN_URL", ["maybe", "2"]),
        ("PUSH_PUBLIC_NAMESPACES", ["a:b", "a b", "user", "public,user", "é"]),
        ("PUSH_ALLOWED_ORIGINS", ["app.example", "https://a.example/", "null", "ftp://a"]),
        ("PUSH_ALLOWED_ORIGINS", ["https://*.example", "https://é.example", "https://a@b", "*,x"]),
        ("PUSH_HISTORY_SIZE", ["0", "-1", "1.5", "many", "1e3", "٣"]),
        ("PUSH_HISTORY_TTL", ["0", "-1", "inf", "nan", "1h", "1e3"]),
        ("PUSH_MAX_MESSAGE", ["0", "abc", "524289"]),
        ("PUSH_MAX_CONNECTIONS", ["0", "abc"]),
        ("PUSH_BUFFER", ["4095", "abc"]),
        ("PUSH_BUFFER_TOTAL", ["1000", "abc"]),
        ("PUSH_HEARTBEAT", ["0", "-1", "abc"]),
        ("PUSH_PARK", ["maybe", "2"]),
        ("PUSH_DEFLATE", ["maybe", "2"]),
        ("PUSH_WEBHOOK_URL", ["host/hook", "ftp://host", "http://", "https://h/#a", "http://h/é"]),
        ("PUSH_WEBHOOK_URL", ["http://h:x/", "http://h:99999/", "http://[::1/"]),
        ("PUSH_WEBHOOK_SECRET", ["short", "s" * 32 + ",short"]),
        ("PUSH_DEMO", ["maybe", "2"]),
        ("PUSH_PREFIX", ["push", "/", "/push/", "/a b", "/<x>", "//"]),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(name: str, values: list[str]) -> None:
    """It names the setting, what came and what was expected."""
    for value in values:
        error = refused({**NEEDED, name: value})
        assert error.name == name
        assert str(error).startswith(f"{name} is ")
        assert "expected" in str(error)


def test_secrets_are_not_shown() -> None:
    """The line ends up in a log."""
    assert "sesame" not in str(refused({**NEEDED, "PUSH_SECRET": "sesame"}))
    assert "sesame" not in str(refused({**NEEDED, "PUSH_API_KEYS": "open sesame"}))
    assert "sesame" not in str(refused({**NEEDED, "PUSH_BROKER_URL": "mysql://me:sesame@h/"}))


def test_an_embedded_push_needs_no_api_keys_and_takes_the_apps_secret() -> None:
    """It may publish from Python alone; PUSH_SECRET is stronger."""
    assert load({"SECRET_KEY": "short"}, embedded=True).secret == "short"
    assert load({"SECRET_KEY": "a", "PUSH_SECRET": "b"}, embedded=True).secret == "b"
    assert refused({**NEEDED, "PUSH_SECRET": "", "SECRET_KEY": "s" * 40}).name == "PUSH_SECRET"


def test_a_secret_of_bytes_keeps_every_one_of_them() -> None:
    """``SECRET_KEY = os.urandom(32)``, as Flask's own documentation has it."""
    secrets = {load({"SECRET_KEY": bytes([n] * 32)}, embedded=True).secret for n in range(128, 256)}
    assert len(secrets) == 128
    assert len(load({"SECRET_KEY": b"x" + os.urandom(30) + b"x"}, embedded=True).secret) == 32


def test_an_apps_config_may_hold_lists_and_dicts() -> None:
    """Python's own values, where the environment has text."""
    settings = loaded(
        PUSH_API_KEYS=["a", "read:b"],
        PUSH_PUBLIC_NAMESPACES=("open",),
        PUSH_ALLOWED_ORIGINS={"https://a.example"},
        PUSH_NAMESPACES={"orders": {"size": 5}},
        PUSH_HISTORY_SIZE=7,
        PUSH_HEARTBEAT=2.5,
        PUSH_DEMO=True,
    )
    assert settings.api_keys == (ApiKey("a"), ApiKey("b", may_publish=False))
    assert settings.public_namespaces == {"open"}
    assert settings.allowed_origins == {"https://a.example"}
    assert settings.retention("orders:7") == Retention(5, 3600.0)
    assert (settings.history_size, settings.heartbeat, settings.demo) == (7, 2.5, True)


def test_a_webhook_needs_a_secret_of_its_own() -> None:
    """The receiver knows it: it must not be the one that signs tokens. It may change."""
    url = "https://app.example:8443/hook?a=1"
    assert refused({**NEEDED, "PUSH_WEBHOOK_URL": url}).name == "PUSH_WEBHOOK_SECRET"
    settings = loaded(PUSH_WEBHOOK_URL=url, PUSH_WEBHOOK_SECRET=f"{'n' * 32}, {'o' * 32}")
    assert settings.webhook_url == url
    assert settings.webhook_secrets == ("n" * 32, "o" * 32)
    error = refused({**NEEDED, "PUSH_WEBHOOK_URL": "https://ann:secret@app.example/"})
    assert error.name == "PUSH_WEBHOOK_URL" and "secret@" not in str(error)


def test_api_keys_may_be_read_only_or_publish_only() -> None:
    """``read:KEY``, ``publish:KEY``; blanks and empty parts do not count."""
    assert loaded(PUSH_API_KEYS=" a, read:b,,publish:c,").api_keys == (
        ApiKey("a"),
        ApiKey("b", may_publish=False),
        ApiKey("c", may_look=False),
    )


@pytest.mark.parametrize("url", ["sqlite:////tmp/p.db", "redis://h", "rediss://h", "valkey://h"])
def test_every_broker_has_its_url(url: str) -> None:
    """REDIS_URL is what Heroku sets; PUSH_BROKER_URL beats it."""
    assert loaded(PUSH_BROKER_URL=url).broker_url == url
    assert loaded(PUSH_BROKER_URL=url, REDIS_URL="redis://other").broker_url == url


def test_redis_is_used_where_heroku_offers_it() -> None:
    """An empty one is none."""
    assert loaded(REDIS_URL="redis://h").broker_url == "redis://h"
    assert loaded(REDIS_URL="").broker_url == "sqlite:///var/push.db"
    assert refused({**NEEDED, "REDIS_URL": "http://h"}).name == "REDIS_URL"


def test_sqlite_on_a_dyno_needs_a_word() -> None:
    """Every dyno would have a log of its own."""
    assert "PUSH_SINGLE_MACHINE" in str(refused({**NEEDED, "DYNO": "web.1"}))
    assert loaded(DYNO="web.1", PUSH_SINGLE_MACHINE="1").broker_url.startswith("sqlite")
    assert loaded(DYNO="web.1", REDIS_URL="redis://h").broker_url == "redis://h"


def test_a_namespace_may_be_kept_otherwise() -> None:
    """What it does not say is as for all; a name without a namespace is as all."""
    settings = loaded(
        PUSH_HISTORY_SIZE="10",
        PUSH_HISTORY_TTL="20",
        PUSH_NAMESPACES='{"a":{"size":1},"b":{"ttl":0.5},"c":{}}',
    )
    assert settings.retention("a:1") == (1, 20)
    assert settings.retention("b:1:2") == (10, 0.5)
    assert settings.retention("c:1") == settings.retention("d:1") == settings.retention("a")
    assert settings.retention("a") == (10, 20)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "1",
        '{"a":1}',
        '{"a b":{}}',
        '{"a":{"sise":1}}',
        '{"a":{"size":0}}',
        '{"a":{"size":1.5}}',
        '{"a":{"size":true}}',
        '{"a":{"size":"5"}}',
        '{"a":{"size":1000000000000000000000}}',
        '{"a":{"ttl":0}}',
        '{"a":{"ttl":NaN}}',
        '{"a":{"ttl":1e999}}',
        '{"a":{"ttl":null}}',
    ],
)
def test_wrong_namespaces_are_refused(text: str) -> None:
    """Figures that the log could not keep to."""
    assert refused({**NEEDED, "PUSH_NAMESPACES": text}).name == "PUSH_NAMESPACES"


@pytest.mark.parametrize(
    ("channel", "public"),
    [
        ("public:a", True),
        ("demo:a:b", True),
        ("public:", True),
        ("public", False),
        ("publicly:a", False),
        ("Public:a", False),
        ("a:public:", False),
        (":public", False),
        ("user:42", False),
    ],
)
def test_public_is_what_stands_before_the_first_colon(channel: str, public: bool) -> None:
    """A name without one is never public."""
    assert loaded().is_public(channel) is public


def test_no_namespace_has_to_be_public() -> None:
    """Empty is none, not the default."""
    assert not loaded(PUSH_PUBLIC_NAMESPACES="").is_public("public:a")


def test_origins_are_compared_in_lower_case() -> None:
    """As browsers send them, so without the port that goes unsaid."""
    settings = loaded(PUSH_ALLOWED_ORIGINS="https://App.Example, http://localhost:8000")
    assert settings.allowed_origins == {"https://app.example", "http://localhost:8000"}
    settings = loaded(
        PUSH_ALLOWED_ORIGINS="https://a:443,http://b:80,http://c:443,https://[::1]:80"
    )
    assert settings.allowed_origins == {"https://a", "http://b", "http://c:443", "https://[::1]:80"}
    assert loaded(PUSH_ALLOWED_ORIGINS="*").allowed_origins == {"*"}


def test_connections_stay_below_the_limit_of_file_descriptors() -> None:
    """Some are needed for all else."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit == resource.RLIM_INFINITY:
        assert loaded(PUSH_MAX_CONNECTIONS="9" * 18).max_connections == int("9" * 18)
    else:
        assert loaded(PUSH_MAX_CONNECTIONS="9" * 18).max_connections == limit - FDS_RESERVED
    assert loaded(PUSH_MAX_CONNECTIONS="5").max_connections == 5


def test_a_message_fits_twice_into_the_buffer() -> None:
    """Its default follows a small buffer; a wish of its own does not."""
    assert loaded(PUSH_BUFFER="8192").max_message == 4096
    assert loaded(PUSH_BUFFER="8192", PUSH_MAX_MESSAGE="4096").max_message == 4096
    assert refused({**NEEDED, "PUSH_BUFFER": "8192", "PUSH_MAX_MESSAGE": "4097"})


@pytest.mark.parametrize("word", ["1", "true", "YES", "On", True])
def test_flags_are_said_in_many_words(word: object) -> None:
    """And in as many against."""
    assert loaded(PUSH_DEMO=word).demo is True
    against = {"1": "0", "true": "false", "YES": "NO", "On": "Off"}.get(str(word), False)
    assert loaded(PUSH_PARK=against).park is False


def test_secrets_rotate() -> None:
    """The first signs; the others are still believed. A host app's own key is never taken apart."""
    settings = loaded(PUSH_SECRET=f" {'n' * 32}, {'o' * 32},{'p' * 32},")
    assert settings.secret == "n" * 32
    assert settings.old_secrets == ("o" * 32, "p" * 32)
    whole = load({"SECRET_KEY": "a,b", "SECRET_KEY_FALLBACKS": ["c,d", b"\xff"]}, embedded=True)
    assert (whole.secret, whole.old_secrets) == ("a,b", ("c,d", "\xff"))
