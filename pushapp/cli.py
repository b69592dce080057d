"""The ``pushapp`` command, also ``flask push …``.

What belongs here: options and output. What does not: where the server is and how a command fails
(``cli_reach``), what it does beyond one call (``client``, ``feed``, ``doctor``, ``local``), and the
commands about people (``cli_token``, ``cli_people``).

Exit codes: 0 done, 1 it failed (one line on stderr says why), 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import Any

import click

from . import local
from .cli_people import disconnect, revoke
from .cli_reach import client_at, one_line, reaches
from .cli_token import token
from .client import Item
from .message import dump

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # a terminal would obey them


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Push messages to browsers, and see how it goes.

    Where the server is: --url, else PUSH_URL, else this machine at PORT (8000). The api key:
    --api-key, else PUSH_API_KEYS, else, for a server on this machine, the one in var/ that
    `pushapp run` made.
    """


for _command in (token, revoke, disconnect):
    cli.add_command(_command)


def main() -> None:
    """Run the command."""
    cli(prog_name="pushapp")


@cli.command()
def run() -> None:
    """Start a server for trying things out, on 127.0.0.1 alone.

    Keys are made once and kept in var/; the lab and the system feed are on. What the
    environment says goes first.

    \b
      pushapp run
      PORT=8001 WEB_CONCURRENCY=1 pushapp run
    """
    with one_line():
        local.run()


@cli.command()
@click.argument("channel")
@click.argument("data")
@click.option("--text", is_flag=True, help="DATA is plain text, not JSON.")
@click.option("--event", help="Its name for the application.")
@click.option("--ttl", type=float, help="Seconds until it is old news.")
@click.option("--delay", type=float, help="Seconds until it is published.")
@click.option("--retain", is_flag=True, help="Keep it as the channel's value, too.")
@reaches
def publish(
    channel: str,
    data: str,
    text: bool,
    event: str | None,
    ttl: float | None,
    delay: float | None,
    retain: bool,
    url: str | None,
    api_key: str | None,
) -> None:
    """Publish DATA to CHANNEL and print the message's id. "-" reads DATA from stdin.

    \b
      pushapp publish demo:chat '{"text": "hello"}'
      pushapp publish --text demo:chat 'plain words'
      date | pushapp publish --text --retain demo:now -
      pushapp publish --delay 60 demo:chat '{"text": "a minute later"}'
    """
    if data == "-":
        data = sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")
    value = data if text else _json(data)
    options: Any = {"event": event, "ttl": ttl, "delay": delay, "retain": retain or None}
    with one_line():
        click.echo(client_at(url, api_key).publish(channel, value, **options))


def _json(text: str) -> Any:
    try:
        value = json.loads(text)
        dump(value)  # NaN and 1e999 parse, and are no JSON
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"DATA is not JSON ({error}); --text sends it as it is") from None
    return value


@cli.command(short_help="Print messages as they come.")
@click.argument("channels", nargs=-1, required=True)
@click.option("--history", type=click.IntRange(0), default=0, help="First the last N messages.")
@click.option("--cursor", help="Go on after this: a message's id.")
@click.option("--format", "form", type=click.Choice(["json", "text"]), default="json")
@reaches
def tail(
    channels: tuple[str, ...],
    history: int,
    cursor: str | None,
    form: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """Print the messages of CHANNELS as they come, one line each, until Ctrl-C.

    Goes on over restarts of the server. What is missing is said on stderr.

    \b
      pushapp tail demo:chat demo:system
      pushapp tail --history 10 --format text demo:chat
      pushapp tail demo:system | jq .data.cpu
    """
    show = _as_text if form == "text" else dump
    with one_line():
        for item in client_at(url, api_key).tail(channels, cursor, history):
            for lost in item.get("lost", ()) if item.get("type") == "live" else ():
                click.echo(f"missing: {dump(lost)}", err=True)
            for message in item["messages"] if item.get("type") == "history" else [item]:
                if "type" not in message:
                    click.echo(show(message))


def _as_text(message: Item) -> str:
    data = message.get("data", "(expired)")
    text = data if isinstance(data, str) else dump(data)
    clock = time.strftime("%H:%M:%S", time.localtime(message["time"]))
    line = f"{clock} {message['channel']} {text}"
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], line)


@cli.group()
def feed() -> None:
    """Publish what really happens on this machine."""


_PARENT = click.option("--parent", type=int, hidden=True)  # ends with this process


@feed.command()
@click.option("--channel", default="demo:system", show_default=True)
@_PARENT
@reaches
def system(channel: str, parent: int | None, url: str | None, api_key: str | None) -> None:
    """Publish CPU, memory, disk and network, once a second, until Ctrl-C.

    \b
      pushapp feed system
      pushapp feed system --channel ops:web-1 --url https://push.example.com
    """
    from . import feed as feeds

    with one_line():
        client = client_at(url, api_key)
        feeds.system(client.publish, channel=channel, goes_on=feeds.while_parent(parent))


@feed.command()
@click.argument("file")
@click.option("--channel", default="demo:log", show_default=True)
@_PARENT
@reaches
def follow(
    file: str, channel: str, parent: int | None, url: str | None, api_key: str | None
) -> None:
    """Publish every new line of FILE, or of stdin ("-").

    Follows the name over rotation; loses and doubles nothing while the server restarts.

    \b
      pushapp feed follow /var/log/nginx/access.log
      journalctl -f | pushapp feed follow - --channel demo:journal
    """
    from . import feed as feeds

    goes_on = feeds.while_parent(parent)
    with one_line():
        client = client_at(url, api_key)
        try:
            chunks = feeds.read_from(0) if file == "-" else feeds.written_to(file, goes_on)
            feeds.follow(client.publish_batch, chunks, channel, goes_on)
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror or error}") from None


@cli.command(short_help="Say what to change on this machine, or at a proxy.")
@reaches
def doctor(url: str | None, api_key: str | None) -> None:
    """Look at this machine, or at what a proxy does to URL, and say what to change.

    Exits with 1 where something is bad.

    \b
      pushapp doctor
      pushapp doctor --url https://push.example.com
    """
    from . import doctor as machine
    from . import doctor_web as web
    from .finding import State

    with one_line():
        if url:
            try:
                findings = web.look(url, api_key or local.api_key(os.environ, url))
            except ValueError as error:
                raise click.UsageError(str(error)) from None
        else:
            os.environ.update(local.with_kept_keys(os.environ))  # gunicorn.conf.py reads it, too
            findings = machine.look(os.environ)
        bad = False
        for finding in findings:
            click.echo(str(finding))
            bad = bad or finding.state is State.BAD
    if bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
