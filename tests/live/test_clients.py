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


class LibraryTestCase(LiveTestCase):
    """Programs written with other people's libraries."""

    async def use(self, *command: str) -> dict[str, Any]:
        """What a program saw of a relay, whose URL is its last argument."""
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

    async def use_node(self, program: str) -> dict[str, Any]:
        """
        What a program of JavaScript saw.

        Raises:
            SkipTest: Node or nostr-tools is not there.
        """
        node = shutil.which("node")
        if node is None or not (_CLIENTS / "node_modules").exists():
            raise SkipTest("needs Node and nostr-tools: make test installs them")
        return await self.use(node, program)


class ClientLibraryTests(LibraryTestCase):
    """Publish, replace, delete, query and subscribe live with other people's code."""

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
        self._assert_worked(await self.use_node("nostr_tools.mjs"))

    async def test_nostr_sdk(self) -> None:
        """nostr-sdk, the Rust library with Python bindings, works with the relay."""
        seen = await self.use(sys.executable, "nostr_sdk_client.py")
        self.assertEqual(set(seen.pop("refused")), {""})
        self._assert_worked(seen)


class PrivateMessagesTests(LibraryTestCase):
    """Private messages (NIP-17), protected events, authentication (NIP-42)."""

    def _assert_private(self, seen: dict[str, Any]) -> None:
        self.assertEqual(seen["sent"], ["", ""])
        self.assertEqual(seen["bob"], [[seen["alice"], "for you, Bob 🔒"]])
        self.assertEqual(seen["live"], [seen["alice"], "and again"])
        self.assertEqual(seen["others"], [0, 0])
        self.assertEqual(
            [reason.partition(":")[0] for reason in seen["protected"]],
            ["auth-required", "restricted", ""],
        )

    async def test_nostr_tools(self) -> None:
        """With nostr-tools, an application authenticates when it is told to."""
        seen = await self.use_node("nostr_tools_private.mjs")
        self.assertEqual(
            [reason.partition(":")[0] for reason in seen["refused"]],
            ["auth-required", "auth-required", "restricted"],
        )
        self._assert_private(seen)

    async def test_nostr_sdk(self) -> None:
        """With nostr-sdk, the library authenticates by itself."""
        seen = await self.use(sys.executable, "nostr_sdk_private.py")
        self._assert_private(seen)
