"""A client on websocket-client. Usage: python websocket_client.py URL CHANNEL"""

import json
import sys
import time
from urllib.parse import urlencode

import websocket
from websocket import ABNF

url, channel = sys.argv[1:]
cursor = ""


def speak(socket: websocket.WebSocket) -> None:
    """Send a ping of the protocol's own, and one text in two frames."""
    socket.ping("are you there")
    socket.send_frame(ABNF.create_frame('{"op":"ping","ref":', ABNF.OPCODE_TEXT, 0))
    socket.send_frame(ABNF.create_frame('"in fragments"}', ABNF.OPCODE_CONT, 1))


def listen() -> None:
    """Print what comes until the connection ends."""
    global cursor
    query = urlencode({"channels": channel, "cursor": cursor})
    socket = websocket.create_connection(f"{url.replace('http', 'ws', 1)}/push/ws?{query}")
    speak(socket)
    while True:
        opcode, data = socket.recv_data(control_frame=True)
        if opcode == ABNF.OPCODE_PONG:
            print("pong", data.decode(), flush=True)
        if opcode != ABNF.OPCODE_TEXT:
            continue
        frame = json.loads(data)
        kind = frame.get("type")
        if kind is None:
            cursor = frame.get("cursor") or frame["id"]
            print(json.dumps(frame["data"]), flush=True)
            continue
        cursor = frame.get("cursor") or cursor
        if kind == "live":
            print("live" if frame["recovered"] else "lost", flush=True)
        if kind == "reply":
            print(frame["ref"], flush=True)


while True:
    try:
        listen()
    except (OSError, websocket.WebSocketException):
        time.sleep(0.1)
