"""One signed POST to a webhook's receiver, within a deadline.

What belongs here: HTTP, on the standard library. What does not: what is sent and when it is sent
again (``webhooks``). Redirects are not followed: where events go, the operator says.
"""

from __future__ import annotations

import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import SSLContext, create_default_context
from urllib.parse import urlsplit

from gevent import Timeout
from gevent.monkey import is_module_patched

from .signature import SIGNATURE, TIMESTAMP, sign

DEADLINE = 4.0  # seconds for all of it: half of a webhook's lease is left


class HttpCourier:
    """Posts JSON to one URL, signed with each of ``secrets``."""

    def __init__(self, url: str, secrets: tuple[str, ...]) -> None:
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._context: SSLContext | None = None
        self._host, self._port = parts.hostname or "", parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secrets = secrets

    def deliver(self, body: bytes) -> str | None:
        """Return None where it was taken (2xx), else why not, in words."""
        late = TimeoutError(f"no answer within {DEADLINE:g} s")
        timer = Timeout(DEADLINE, late) if is_module_patched("socket") else None
        try:
            if timer is not None:
                timer.start()  # one that sends a byte a second would hold a socket's timeout off
            status, reason = self._post(body)
        except (OSError, HTTPException) as error:
            return _shown(str(error) or type(error).__name__)
        finally:
            if timer is not None:
                timer.close()
        return None if 200 <= status < 300 else _shown(f"the receiver answers {status} {reason}")

    def _post(self, body: bytes) -> tuple[int, str]:
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pushapp",
            TIMESTAMP: timestamp,
            SIGNATURE: sign(self._secrets, timestamp, body),
        }
        connection = self._connection()
        try:
            connection.request("POST", self._target, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.reason
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        if not self._is_secure:
            return HTTPConnection(self._host, self._port, timeout=DEADLINE)
        if self._context is None:  # once: to read the machine's certificates stops all for 30 ms
            self._context = create_default_context()
        return HTTPSConnection(self._host, self._port, timeout=DEADLINE, context=self._context)


def _shown(trouble: str) -> str:
    """Return it for the log: it may hold whatever the receiver has sent, and as much."""
    return ascii(trouble)[1:-1][:100]
