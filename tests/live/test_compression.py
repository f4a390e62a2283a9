"""Compressed messages between a running relay and the client that Node uses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor

_CLIENTS = Path(__file__).parent / "clients"
_COMPRESSED = ("takeover", "noServerTakeover", "noTakeover", "window12", "part")


class CompressionTests(LiveTestCase):
    """The WebSocket library ``ws``, with all that can be agreed on."""

    async def use(self, settings: str = "") -> dict[str, dict[str, Any]]:
        """What the clients got from a relay with these settings."""
        node = shutil.which("node")
        if node is None or not (_CLIENTS / "node_modules").exists():
            raise SkipTest("needs Node and ws: make test installs them")
        relay = await self.start_relay(settings)
        output, errors, code = await getProcessOutputAndValue(
            node,
            ["compressed.mjs", relay.url],
            env={"PATH": "/usr/bin:/bin"},
            path=str(_CLIENTS),
            reactor=reactor,
        )
        self.assertEqual(code, 0, errors.decode())
        seen: dict[str, dict[str, Any]] = json.loads(output)
        for name, client in seen.items():
            self.assertTrue(client["live"], name)
            self.assertTrue(client["stored"], name)
            self.assertEqual(client["events"], 20 if name == "part" else 60, name)
        return seen

    async def test_compressed(self) -> None:
        """Each client gets every event, live and stored; most in fewer bytes."""
        seen = await self.use()
        for name in _COMPRESSED:
            self.assertEqual(seen[name]["extensions"], "permessage-deflate", name)
            self.assertLess(seen[name]["read"], 0.75 * seen[name]["bytes"], name)
        self.assertEqual(seen["window9"]["extensions"], "permessage-deflate")
        self.assertEqual(seen["plain"]["extensions"], "")
        self.assertGreater(seen["plain"]["read"], seen["plain"]["bytes"])

    async def test_off(self) -> None:
        """With the setting off nothing is compressed, and all works as well."""
        seen = await self.use("websocket.compression = false")
        for name, client in seen.items():
            self.assertEqual(client["extensions"], "", name)
            self.assertGreater(client["read"], client["bytes"], name)
