"""What live tests have in common: relays and clients that end with the test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL

from twisted.trial.unittest import TestCase

from tests.live.client import LiveClient, Reachable, connect
from tests.live.relay_process import FREE_PORT, RelayProcess


class LiveTestCase(TestCase):
    """
    A test that runs relays in a directory of its own.

    Attributes:
        may_log_faults: Whether tracebacks in a relay's log are to be expected.
    """

    timeout = 90
    may_log_faults = False

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self._clients: list[LiveClient] = []
        self._relays: list[RelayProcess] = []
        self.addCleanup(self._end)

    async def _end(self) -> None:
        """End all connections, then all relays; none may have had a traceback."""
        for client in self._clients:
            if client.closed.value is None:
                client.dropConnection(abort=True)
            await client.leave()
        codes = [await relay.stop() for relay in self._relays]
        for relay, code in zip(self._relays, codes, strict=True):
            if code != -SIGKILL and not self.may_log_faults:
                self.assertNotIn("Traceback", relay.output)
                self.assertNotIn("Unhandled", relay.output)

    async def start_relay(
        self, settings: str = "", listen: str = FREE_PORT
    ) -> RelayProcess:
        """A relay whose store is that of the one before it in this test."""
        return self.ends(await RelayProcess.start(self.directory, settings, listen))

    def ends(self, relay: RelayProcess) -> RelayProcess:
        """Have ``relay`` end with the test."""
        self._relays.append(relay)
        return relay

    async def connect(
        self,
        relay: Reachable,
        certificate: Path | None = None,
        before: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> LiveClient:
        """A client of ``relay``; see :func:`tests.live.client.connect`."""
        client = await connect(relay, certificate, before, headers)
        self._clients.append(client)
        return client
