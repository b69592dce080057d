"""pushapp with other settings: what one feature costs, and what a case needs of it.

What belongs here: peers that are pushapp, and what their subscribers bring. What does not: the
other servers (peers.py).
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import jwt
from peers import BENCH, PUSHAPP, SECRET, Peer

TOKEN_HEADER = "Authorization: Bearer {token}"
ROOM = "room:bench"  # a channel that needs one
PERIOD = 5  # seconds between two heartbeats; 25 is the default, and five times as cheap


def variant(
    name: str, suffix: str = "", *headers: str, channel: str = PUSHAPP.channel, **settings: str
) -> Peer:
    """Return pushapp with more in each subscriber's URL and head, and other settings."""
    return replace(
        PUSHAPP,
        name=name,
        channel=channel,
        environment={**PUSHAPP.environment, **settings},
        endpoints={
            transport: replace(endpoint, path=endpoint.path + suffix, headers=headers)
            for transport, endpoint in PUSHAPP.endpoints.items()
        },
    )


HEARTBEAT = variant("pushapp, heartbeats", PUSH_HEARTBEAT=str(PERIOD))
RESUMING = variant("pushapp, storm", "&cursor={cursor}", TOKEN_HEADER, channel=ROOM)


def _without(peer: Peer, *parts: str) -> Peer:
    return replace(
        peer,
        command=(*PUSHAPP.command[:-1], "--pythonpath", str(BENCH), "without:app"),
        environment={**peer.environment, "BENCH_WITHOUT": ",".join(parts)},
    )


#: All that a client with a token has, less one thing, less all three.
WHOLE = variant("pushapp, with all", "", TOKEN_HEADER, channel=ROOM)
NO_TOKENS = variant("pushapp, no tokens")
NO_PRESENCE = _without(replace(WHOLE, name="pushapp, no presence"), "presence")
NO_METRICS = _without(replace(WHOLE, name="pushapp, no metrics"), "metrics")
BARE = _without(replace(NO_TOKENS, name="pushapp, with none"), "presence", "metrics")
VARIANTS = (WHOLE, NO_TOKENS, NO_PRESENCE, NO_METRICS, BARE)
KEEPING = variant("pushapp, long history", PUSH_HISTORY_SIZE="1000000")
WORKERS = tuple(
    variant(f"pushapp, {n} worker{'s' * (n > 1)}", WEB_CONCURRENCY=str(n)) for n in (1, 2)
)


#: A kept connection to the server itself; the headers that Heroku's router adds to each request
#: (https://devcenter.heroku.com/articles/http-routing#heroku-headers); nginx in between.
#: All of them repeat the connection's id that they were given, as push.js does.
OWN_ID = "&connection={connection}"
DIRECT = variant("pushapp, asked directly", OWN_ID)
HEROKU = variant(
    "pushapp, Heroku's headers",
    OWN_ID,
    "X-Request-Id: 5f2d1c3e-8a7b-4c6d-9e0f-12{request}",
    "X-Forwarded-For: 203.0.113.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 443",
    "Via: 1.1 heroku-router",
    "X-Request-Start: 179{request}",
)
BEHIND_NGINX = variant("pushapp, behind nginx", OWN_ID)
WAYS = (DIRECT, BEHIND_NGINX, HEROKU)
NGINX = replace(
    BEHIND_NGINX,
    name="nginx",
    command=("nginx", "-c", "{scratch}/nginx_front.conf"),
    files=("nginx_front.conf",),
    needs=("nginx",),
)


def tokens(count: int, folder: Path) -> Path:
    """Write a token for each of so many users into a file; return its path."""
    path, now = folder / f"tokens-{count}", int(time.time())
    with path.open("w") as file:
        for n in range(count):
            said = {"sub": f"u{n}", "iat": now, "exp": now + 3600, "channels": ["room:*"]}
            file.write(jwt.encode(said, SECRET, "HS256") + "\n")
    return path
