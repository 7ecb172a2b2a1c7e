"""The inviting side: a TLS listener that is open only while an invitation is."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shoestring import __version__
from shoestring.config.load import read_text
from shoestring.core.errors import ConfigError, PairingError
from shoestring.peer.door import Bounds, Door, source_of
from shoestring.peer.identity import CERTIFICATE_MAX, Identity
from shoestring.peer.invitation import Invitation, Tries, current, redeem

LOOK_SECONDS = 0.5
BODY_MAX = 16 * 1024
BOUNDS = Bounds(source=4, total=32, seconds=10.0)


class JoinWord(BaseModel):
    """What the joining server sends."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: Annotated[str, Field(max_length=64)]
    certificate: Annotated[str, Field(max_length=CERTIFICATE_MAX)]
    version: Annotated[str, Field(max_length=40)]


class Pairing:
    """Opens the listener when an invitation appears, closes it when none is open."""

    def __init__(self, identity: Identity, address: str, port: int) -> None:
        self._identity = identity
        self._address = address
        self._port = port
        self._runner: web.AppRunner | None = None
        self._door: Door | None = None
        self._tries = Tries()
        self._invitation: Invitation | None = None

    async def run(self) -> None:
        """Look for an invitation each second, until cancelled."""
        try:
            while True:
                found = current()
                invited = found is not None
                if found != self._invitation:
                    self._invitation, self._tries = found, Tries()
                if invited and self._runner is None:
                    await self._open()
                elif not invited and self._runner is not None:
                    await self._close()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._close()

    async def _open(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._identity.certificate, self._identity.key)
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_post("/join", self._join)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        assert runner.server is not None
        door = Door(runner.server, context, BOUNDS)
        try:
            door.open(self._address, self._port)
        except OSError:
            await runner.cleanup()
            return
        self._runner, self._door = runner, door

    async def _close(self) -> None:
        if self._door is not None and self._runner is not None:
            self._door.close()
            await self._runner.cleanup()
            self._runner = self._door = None

    async def _join(self, request: web.Request) -> web.Response:
        try:
            word = JoinWord.model_validate(await request.json())
            self._redeem(word, source_of(request.remote or "::"))
            self._identity.trust(word.certificate)
            answer = {"pair_toml": read_text(), "version": __version__}
        except (ValidationError, ValueError):
            return web.json_response({"error": "this is no request to join"}, status=400)
        except (PairingError, ConfigError) as error:
            said = {"error": error.message, "hint": error.hint}
            return web.json_response(said, status=403)
        return web.json_response(answer)

    def _redeem(self, word: JoinWord, source: str) -> None:
        self._tries.check(source)
        try:
            redeem(base64.b64decode(word.token, validate=True))
        except PairingError:
            self._tries.wrong(source)
            raise
