"""A log of JSON objects, as programs read it that gather logs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from typing import Any

from twisted.internet.task import deferLater

from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor
from tests.live.relay_process import (
    FREE_PORT,
    ROOT,
    RelayProcess,
    daemonize,
    run_to_end,
    running_in,
)

_JSON = "[log]\nformat = 'json'\nconnections = true\n"


def records(text: str) -> list[dict[str, Any]]:
    """The objects of a log; fails if a line is none."""
    return [json.loads(line) for line in text.splitlines()]


def saying(found: Iterable[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Those whose text begins so."""
    return [each for each in found if each["text"].startswith(text)]


class JSONLogTests(LiveTestCase):
    """What twistd writes with ``log.format = "json"``."""

    async def visit(self, relay: RelayProcess) -> None:
        """Have the relay log a line about a connection."""
        client = await self.connect(relay)
        self.assertEqual(await client.query({"limit": 1}), [])
        await client.leave()

    def assert_complete(self, found: list[dict[str, Any]]) -> None:
        """From start to end, with all that lines of text tell."""
        for each in found:
            self.assertLessEqual({"time", "level", "namespace", "text"}, set(each))
        self.assertTrue(saying(found, "twistd "))
        (listening,) = saying(found, "Listening on")
        self.assertTrue(listening["fields"]["url"].startswith("ws://127.0.0.1:"))
        (ended,) = saying(found, "Connection 1 ended")
        self.assertEqual(ended["fields"]["code"], 1000)
        self.assertIsInstance(ended["fields"]["seconds"], float)
        self.assertTrue(saying(found, "Server Shut Down"))

    async def test_one_process(self) -> None:
        """Every line is an object, from the first to the last."""
        relay = await self.start_relay(_JSON)
        await self.visit(relay)
        self.assertEqual(await relay.stop(), -signal.SIGTERM)
        self.assert_complete(records(relay.output))

    async def test_workers(self) -> None:
        """Workers log as a single process does, with their number."""
        relay = await self.start_relay(f"{_JSON}[cluster]\nworkers = 2\n")
        await self.visit(relay)
        self.assertEqual(await relay.stop(), -signal.SIGTERM)
        found = records(relay.output)
        self.assert_complete(found)
        (ended,) = saying(found, "Connection 1 ended")
        self.assertIn(ended["worker"], (1, 2))
        self.assertTrue(ended["namespace"].startswith("nostrtx.web."))

    async def test_cannot_start(self) -> None:
        """That it cannot serve is an object, too."""
        (self.directory / "settings.toml").write_text(_JSON)
        arguments = ["nostr-relay", "--config", "settings.toml", "--store", "memory:"]
        code, output = await run_to_end(
            self.directory, [*arguments, "--listen", "tcp:1:interface=192.0.2.1"]
        )
        self.assertEqual(code, 1)
        (why,) = saying(records(output), "nostr-relay: cannot listen on")
        self.assertEqual(why["level"], "error")

    async def test_file(self) -> None:
        """A daemon writes the same to the file that it is told."""
        arguments = ["--store", "memory:", "--listen", FREE_PORT]
        self.assertEqual(await daemonize(self.directory, _JSON, arguments), 0)
        log = self.directory / "log"
        pid = int((self.directory / "pid").read_text())
        try:
            while "Listening on" not in log.read_text():
                await deferLater(reactor, 0.02)
        finally:
            os.kill(pid, signal.SIGTERM)
            while running_in(self.directory):
                await deferLater(reactor, 0.02)
        found = records(log.read_text())
        self.assertTrue(saying(found, "Listening on"))
        self.assertTrue(saying(found, "Server Shut Down"))

    async def test_application_file(self) -> None:
        """Started by ``relay.tac`` it logs JSON to standard output."""
        (self.directory / "settings.toml").write_text(
            f"{_JSON}[listen]\nendpoints = ['{FREE_PORT}']\n[store]\nurl = 'memory:'\n"
        )
        relay = self.ends(
            await RelayProcess.spawn(
                self.directory,
                ["-y", str(ROOT / "relay.tac")],
                NOSTRTX_CONFIG="settings.toml",
            )
        )
        await self.visit(relay)
        self.assertEqual(await relay.stop(), -signal.SIGTERM)
        self.assert_complete(records(relay.output))
