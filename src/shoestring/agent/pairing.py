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
from shoestring.peer.identity import CERTIFICATE_MAX, Identity
from shoestring.peer.invitation import current, redeem

LOOK_SECONDS = 0.5
BODY_MAX = 16 * 1024


class JoinWord(BaseModel):
    """What the joining server says."""

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

    async def run(self) -> None:
        """Look for an invitation each second, until cancelled."""
        try:
            while True:
                invited = current() is not None
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
        try:
            await web.TCPSite(runner, self._address, self._port, ssl_context=context).start()
        except OSError:
            await runner.cleanup()
            return
        self._runner = runner

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _join(self, request: web.Request) -> web.Response:
        try:
            word = JoinWord.model_validate(await request.json())
            redeem(base64.b64decode(word.token, validate=True))
            self._identity.trust(word.certificate)
            answer = {"pair_toml": read_text(), "version": __version__}
        except (ValidationError, ValueError):
            return web.json_response({"error": "this is no request to join"}, status=400)
        except (PairingError, ConfigError) as error:
            said = {"error": error.message, "hint": error.hint}
            return web.json_response(said, status=403)
        return web.json_response(answer)
