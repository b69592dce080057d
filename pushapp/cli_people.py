"""``pushapp revoke`` and ``pushapp disconnect``: ending things from a shell.

What belongs here: the commands' options. What does not: what comes of them (docs/protocol.md).
"""

from __future__ import annotations

import sys

import click

from .cli_reach import client_at, one_line, reaches


@click.command(short_help="Let a user's tokens count no longer.")
@click.option("--user", help="Whose.")
@click.option("--everybody", is_flag=True, help="All users'.")
@click.option("--token", help="This one alone; - reads it from stdin, out of sight of ps.")
@click.option("--before", type=float, help="Those issued before then (Unix seconds); else now.")
@reaches
def revoke(
    user: str | None,
    everybody: bool,
    token: str | None,
    before: float | None,
    url: str | None,
    api_key: str | None,
) -> None:
    """Let the tokens that were issued before now count no longer; who listens by one is let go.

    \b
      pushapp revoke --user 42
      cat token.txt | pushapp revoke --token -
      pushapp revoke --everybody --before "$(date -d '1 hour ago' +%s)"
    """
    if [user is not None, everybody, token is not None].count(True) != 1:
        raise click.UsageError("--user, --everybody or --token")
    if token == "-":
        token = sys.stdin.read().strip()
    with one_line():
        client_at(url, api_key).revoke(user, everybody=everybody, token=token, before=before)


@click.command(short_help="End a user's connections, or one.")
@click.option("--user", help="All of this user's.")
@click.option("--connection", help="The one with this id.")
@reaches
def disconnect(
    user: str | None, connection: str | None, url: str | None, api_key: str | None
) -> None:
    """End connections; who may still come, comes back with another one (see revoke).

    \b
      pushapp disconnect --user 42
      pushapp disconnect --connection c1…
    """
    if (user is None) == (connection is None):
        raise click.UsageError("either --user or --connection")
    with one_line():
        client_at(url, api_key).disconnect(user=user, connection=connection)
