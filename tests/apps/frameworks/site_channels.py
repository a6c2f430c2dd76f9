"""The Django site with websockets through Channels."""

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from site_django import asgi as http


class Echo(AsyncWebsocketConsumer):
    async def connect(self):
        offered = self.scope["subprotocols"]
        await self.accept(subprotocol=offered[0] if offered else None)

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "leave":
            await self.close(code=4001)
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)


asgi = ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("ws", Echo.as_asgi())])})
