"""What a page loads is small, and what an editor is told of it is true."""

from __future__ import annotations

import gzip
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from .npm import npm_packages
from .server import ROOT

CLIENT = ROOT / "static" / "push.js"
TYPES = ROOT / "static" / "push.d.ts"
MOST = 8 * 1024  # bytes, minified and gzipped

_TERSER, _TYPESCRIPT = "terser@5.51.2", "typescript@5.9.3"

#: A page's script that uses what the types tell; `//!` marks what must be refused.
USES = """/// <reference path="{types}" />
const push = Push.connect({{url: '/push', channels: ['public:a'], token: async () => 'jwt'}});
push.on('message', message => {{ const id: string = message.id; }})
  .on('event:bell', function (message) {{ this.publish(message.channel, message.data); }})
  .on('lost', lost => lost.map(loss => loss.channel));
push.publish('public:a', 1, {{ttl: 5}}).then(answer => answer.id);
const state: 0 | 1 | 2 | 3 = push.inspect().readyState;
push.subscribe('public:b').unsubscribe(['public:b']).off('message').close();
Push.connect({{transports: ['carrier pigeon']}}); //!
push.on('mesage', () => {{}}); //!
push.cursor = null; //!
"""


@pytest.fixture(scope="module")
def npm_tool(request: pytest.FixtureRequest) -> Callable[[str, str], Path]:
    """Return a program of a package from npm, installed once: ``npm_tool("a@1.0", "a")``."""
    cache = request.config.cache
    assert cache is not None

    def find(package: str, program: str) -> Path:
        folder = npm_packages(cache.mkdir("packages") / package, package)
        return folder / "node_modules" / ".bin" / program

    return find


def test_the_client_is_small(npm_tool: Callable[[str, str], Path]) -> None:
    """push.js is under 8 KB on the wire, minified and gzipped."""
    command = [npm_tool(_TERSER, "terser"), CLIENT, "--compress", "--mangle"]
    minified = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    size = len(gzip.compress(minified, 9))
    print(f"push.js: {CLIENT.stat().st_size} bytes, minified {len(minified)}, gzipped {size}")
    assert size < MOST


def test_the_types_hold(npm_tool: Callable[[str, str], Path], tmp_path: Path) -> None:
    """A page that uses the client rightly is taken, and each wrong line is found."""
    script = USES.format(types=TYPES)
    (tmp_path / "page.ts").write_text(script)
    command = [npm_tool(_TYPESCRIPT, "tsc"), "--noEmit", "--strict", "--target", "es2020"]
    done = subprocess.run(
        [*command, "page.ts"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    found = {int(line) for line in re.findall(r"^page\.ts\((\d+),", done.stdout, re.MULTILINE)}
    wrong = {n for n, line in enumerate(script.splitlines(), 1) if line.endswith("//!")}
    assert found == wrong, done.stdout


def test_the_types_name_every_option_event_and_member() -> None:
    """What push.js reads from its options, tells and offers stands in push.d.ts, and no more."""
    text = CLIENT.read_text(encoding="utf-8")
    types = TYPES.read_text(encoding="utf-8")
    options = set(re.findall(r"\boptions\.([a-z]\w*)", text, re.IGNORECASE))
    events = set(re.findall(r"\bemit\('(\w+)'", text)) | {"presence"}
    members = set(re.findall(r"(?<!\$\.)\bpush\.(\w+) = ", text)) | {"stats", "options", "members"}
    assert options == declared(types, "Options")
    assert events == declared(types, "Events")
    states = {"CONNECTING", "OPEN", "CLOSING", "CLOSED"}
    assert members | states == declared(types, "Client")


def declared(types: str, interface: str) -> set[str]:
    """Return the names of an interface's members."""
    body = types.split(f"interface {interface} {{")[1].split("\n  }\n")[0]
    return set(re.findall(r"^    (?:readonly )?(\w+)[?:(<]", body, re.MULTILINE))


def test_the_client_has_the_version_of_the_package() -> None:
    """What inspect() tells support is the release that the page runs."""
    found = re.search(r"VERSION = '([^']+)'", CLIENT.read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert found is not None and found[1] == project["version"]
