"""Plays the client's part with python3-websockets; see play_test.go."""

import asyncio
import json
import sys

import websockets

url = sys.argv[1]
report = {"received": 0, "ordered": True}


def say(line):
    print(line, flush=True)


async def connect():
    ws = await websockets.connect(url)
    assert json.loads(await ws.recv())["type"] == "welcome"
    return ws


async def subscribe(ws):
    await ws.send(json.dumps({"type": "subscribe", "channel": "interop", "ref": 1}))
    assert json.loads(await ws.recv())["type"] == "subscribed"


async def end(ws):
    """Reads to the end of a connection and returns its close code."""
    try:
        while True:
            message = json.loads(await ws.recv())
            if message["type"] == "bye":
                report["bye"] = message["reason"]
                report["after"] = message["reconnect_after_ms"] > 0
    except websockets.ConnectionClosed as closed:
        return closed.rcvd.code


async def play():
    ws = await connect()
    await subscribe(ws)
    say("subscribed")
    while report["received"] < 100:
        data = json.loads(await ws.recv())["data"]
        n = report["received"]
        report["ordered"] = report["ordered"] and data["n"] == n
        if n == 50:
            report["large"] = len(data["text"])
        if n == 51:
            report["speech"] = data["text"]
        report["received"] += 1
    await asyncio.wait_for(await ws.ping(b"python"), 20)
    report["pong"] = True
    await ws.close(4321, "enough")
    report["closed"] = ws.close_code

    ws = await connect()
    await ws.send(b"\0")
    report["refused"] = await end(ws)

    ws = await connect()
    await subscribe(ws)
    say("waiting")
    report["drained"] = await end(ws)
    say(json.dumps(report))


asyncio.run(play())
