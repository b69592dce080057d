"""An app's own server that is told who comes, goes and publishes.

pip install path/to/pushapp
PUSH_WEBHOOK_SECRET=… gunicorn receive_webhooks:app       # and at the push server, with the same
PUSH_WEBHOOK_URL=https://this.example.com/hook            # secret
"""

import os
from collections import OrderedDict

from flask import Flask, request

from pushapp import PushError, verify_webhook

SECRET = os.environ["PUSH_WEBHOOK_SECRET"]

app = Flask(__name__)
online = set()  # ids of connections; your app asks a database
seen = OrderedDict()  # ids of events: each comes at least once, so some come twice


@app.post("/hook")
def hook():
    try:
        batch = verify_webhook(request.get_data(), request.headers, SECRET)
    except PushError as error:
        return str(error), 403
    for event in batch["events"]:
        if event["id"] in seen:
            continue
        seen[event["id"]] = True
        if len(seen) > 10_000:
            seen.popitem(last=False)
        if event["event"] == "connect":
            online.add(event["connection"])
        elif event["event"] == "disconnect":
            online.discard(event["connection"])
    return "", 204
