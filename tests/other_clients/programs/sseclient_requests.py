"""A client on sseclient-py over requests. Usage: python sseclient_requests.py URL CHANNEL"""

import json
import sys
import time

import requests
import sseclient

url, channel = sys.argv[1:]
cursor = ""


def listen() -> None:
    """Print what comes until the connection ends."""
    global cursor
    answer = requests.get(
        f"{url}/push/sse",
        params={"channels": channel, "cursor": cursor},
        stream=True,
        timeout=60,  # longer than a heartbeat: a stream that says nothing for so long is dead
    )
    answer.raise_for_status()
    for event in sseclient.SSEClient(answer).events():
        cursor = event.id or cursor
        if event.event == "message":
            print(json.dumps(json.loads(event.data)["data"]), flush=True)
        elif event.event == "live":
            print("live" if json.loads(event.data)["recovered"] else "lost", flush=True)


while True:
    try:
        listen()
    except requests.RequestException:
        time.sleep(0.1)
