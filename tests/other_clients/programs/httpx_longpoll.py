"""A long poll client on httpx. Usage: python httpx_longpoll.py URL CHANNEL"""

import json
import sys
import time

import httpx

url, channel = sys.argv[1:]
asking = {"channels": channel}

with httpx.Client(base_url=url, timeout=60) as http:
    while True:
        try:
            answer = http.get("/push/longpoll", params=asking).raise_for_status().json()
        except httpx.HTTPError:
            time.sleep(0.1)
            continue
        asking |= {"cursor": answer["cursor"], "connection": answer["connection"]}
        for message in answer["messages"]:
            print(json.dumps(message["data"]), flush=True)
        print("live" if answer["recovered"] else "lost", flush=True)
