"""The `websockets` library as a client of apps/sockets.py: sockets.py ws://HOST:PORT"""

import asyncio
import os
import sys

import websockets


async def echo(url, compression):
    options = {"compression": compression, "subprotocols": ["chat", "x"], "max_size": None}
    async with websockets.connect(url + "/echo", **options) as client:
        assert client.subprotocol == "chat", client.subprotocol
        assert bool(client.protocol.extensions) == (compression is not None)
        for message in ["", "hello \u20ac", "x" * 200_000, b"", os.urandom(300_000), "again " * 50_000]:
            await client.send(message)
            assert await client.recv() == message
        await client.send(["frag", "ment", "s"])
        assert await client.recv() == "fragments"
        await (await client.ping(b"abc"))
        for number in range(200):
            await client.send(str(number))
        for number in range(200):
            assert await client.recv() == str(number)


async def closes(url, code, reason, message=None):
    async with websockets.connect(url, max_size=None) as client:
        if message is not None:
            await client.send(message)
        try:
            raise AssertionError(await client.recv())
        except websockets.ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (code, reason), closed


async def many(url):
    clients = [await websockets.connect(url + "/echo") for _ in range(100)]
    for client in clients:
        await client.send("hi")
    for client in clients:
        assert await client.recv() == "hi"
    await asyncio.gather(*(client.close() for client in clients))


async def slow(url):
    async with websockets.connect(url + "/pushes", max_size=None) as client:
        await asyncio.sleep(0.5)
        for number in range(1000):
            assert (await client.recv()).startswith(f"{number} ")


async def main(url):
    await echo(url, None)
    await echo(url, "deflate")
    await closes(url + "/closes", 4001, "enough")
    await closes(url + "/echo", 1009, "message too big", b"y" * 1_100_000)
    await many(url)
    await slow(url)


asyncio.run(main(sys.argv[1]))
