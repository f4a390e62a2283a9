"""The libraries that Nostr applications are made of, against a running relay."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor

_CLIENTS = Path(__file__).parent / "clients"


class ClientLibraryTests(LiveTestCase):
    """Publish, replace, delete, query and subscribe live with other people's code."""

    async def _use(self, *command: str) -> dict[str, Any]:
        relay = await self.start_relay()
        output, errors, code = await getProcessOutputAndValue(
            command[0],
            [*command[1:], relay.url],
            env={"PATH": "/usr/bin:/bin"},
            path=str(_CLIENTS),
            reactor=reactor,
        )
        self.assertEqual(code, 0, errors.decode())
        seen: dict[str, Any] = json.loads(output)
        return seen

    def _assert_worked(self, seen: dict[str, Any]) -> None:
        published = seen["published"]
        self.assertEqual(seen["live"], ["one", "два", "三 🚀"])
        self.assertEqual(sorted(seen["stored"]), sorted(published))
        self.assertEqual(seen["profiles"], [seen["newest"]])
        self.assertIn("have a newer version", seen["older"])
        self.assertEqual(sorted(seen["afterDeletion"]), sorted(published[1:]))
        self.assertIn("deleted", seen["deleted"])

    async def test_nostr_tools(self) -> None:
        """nostr-tools, the JavaScript library, works with the relay."""
        node = shutil.which("node")
        if node is None or not (_CLIENTS / "node_modules").exists():
            raise SkipTest("needs Node and nostr-tools: make test installs them")
        self._assert_worked(await self._use(node, "nostr_tools.mjs"))

    async def test_nostr_sdk(self) -> None:
        """nostr-sdk, the Rust library with Python bindings, works with the relay."""
        seen = await self._use(sys.executable, "nostr_sdk_client.py")
        self.assertEqual(set(seen.pop("refused")), {""})
        self._assert_worked(seen)
