"""``pushapp token``: a token from a shell.

What belongs here: the command's options. What does not: what a token says (``tokens``).
"""

from __future__ import annotations

import json
import os
import re

import click

from . import local
from .errors import PushError
from .settings import load

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds


def _seconds(_: object, __: object, given: str) -> float:
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", given)
    if match is None:
        raise click.BadParameter(f"{given!r}: expected such as 90, 15m, 1h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def _names(_: object, __: object, given: tuple[str, ...]) -> list[str]:
    return [name for text in given for name in text.split(",") if name]


@click.command(short_help="Print a token with which a user may listen.")
@click.option("--user", required=True, help="Who it is for; may read user:USER, too.")
@click.option("--channels", multiple=True, callback=_names, help="To read: names, or room:*.")
@click.option("--publish", multiple=True, callback=_names, help="To write: names, or room:*.")
@click.option("--expires", callback=_seconds, default="1h", show_default=True)
@click.option("--member", help="JSON that others may see of this user.")
def token(
    user: str, channels: list[str], publish: list[str], expires: float, member: str | None
) -> None:
    """Print a token, signed with PUSH_SECRET, else with the secret that `pushapp run` keeps.

    \b
      pushapp token --user 42 --channels 'room:*,news:all' --expires 15m
      pushapp token --user 42 --channels room:1 --publish room:1 --member '{"name":"Ann"}'
      curl -H "Authorization: Bearer $(pushapp token --user 42)" \\
           'http://127.0.0.1:8000/push/poll?channels=user:42'
    """
    from .tokens import Tokens

    try:
        about = None if member is None else json.loads(member)
    except ValueError as error:
        raise click.UsageError(f"--member is not JSON ({error})") from None
    try:
        settings = load(local.with_kept_keys(os.environ), embedded=True)
        click.echo(Tokens(settings).make(user, channels, publish, expires, about))
    except PushError as error:
        raise click.ClickException(str(error)) from None
