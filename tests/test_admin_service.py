"""Tests for :mod:`nostrtx.admin_service`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import attrs
from twisted.logger import capturedLogs, formatEvent

from nostrtx.admin_service import AdminService
from nostrtx.service import make_service
from nostrtx.settings.edge import AdminSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from tests.certificates import write_certificates
from tests.test_service import ListeningTestCase


class AdminServiceTests(ListeningTestCase):
    """Ports for the operator."""

    def service(self, *endpoints: str) -> AdminService:
        """The service for these endpoints."""
        settings = attrs.evolve(Settings(), admin=AdminSettings(endpoints=endpoints))
        return AdminService(
            LiveSettings(settings), self.reactor, MemoryEventStore(), dict, dict, dict
        )

    def ports(self) -> list[int]:
        """The ports that were opened, in order."""
        return [port for port, *_ in self.reactor.tcpServers]

    def test_nowhere(self) -> None:
        """Unless the operator names an endpoint, nothing is opened."""
        service = self.service()
        service.privilegedStartService()
        service.startService()
        self.assertEqual(self.ports(), [])
        self.successResultOf(service.stopService())

    def test_somewhere(self) -> None:
        """The pages are where the operator says, which the log tells."""
        service = self.service("tcp:7448:interface=127.0.0.1")
        with capturedLogs() as logs:
            service.privilegedStartService()
        self.assertEqual(self.ports(), [7448])
        (line,) = [str(formatEvent(log)) for log in logs]
        self.assertIn("http://127.0.0.1:7448/", line)

    def test_tls(self) -> None:
        """With TLS the URL says so, and a renewed certificate is looked for."""
        directory = Path(self.mktemp())
        write_certificates(directory)
        files = f"privateKey={directory}/server.key:certKey={directory}/server.pem"
        service = self.service(f"ssl:7448:interface=127.0.0.1:{files}")
        with capturedLogs() as logs:
            service.privilegedStartService()
            service.startService()
            before = service.certificate_ends()["ssl:7448"]
            write_certificates(directory, until=timedelta(hours=48))
            service.renew_certificates()
            after = service.certificate_ends()["ssl:7448"]
            self.reactor.advance(60)
        self.successResultOf(service.stopService())
        at, renewed = [str(formatEvent(log)) for log in logs]
        self.assertIn("https://127.0.0.1:7448/", at)
        self.assertIn("ssl:7448 has been renewed", renewed)
        self.assertGreater(after, before + 86400)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_unusable(self) -> None:
        """An endpoint that cannot be used ends the process, with one line why."""
        self.reactor.refuse = 7448
        end = self.assertRaises(
            SystemExit, self.service("tcp:7448").privilegedStartService
        )
        self.assertIn("tcp:7448", str(end.code))

    def test_order(self) -> None:
        """They are opened before the clients' ports, as a supervisor does."""
        settings = attrs.evolve(
            self.settings("tcp:7447"), admin=AdminSettings(endpoints=("tcp:7448",))
        )
        make_service(LiveSettings(settings), self.reactor).privilegedStartService()
        self.assertEqual(self.ports(), [7448, 7447])
