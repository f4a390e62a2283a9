"""Tests for :mod:`nostrtx.web.elsewhere`, and limits that hold over processes."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.roll_call import FAREWELL, MOST_SILENT_BEATS
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.client_address import ConnectionLimits
from nostrtx.web.elsewhere import ALL_BEATS, CONNECTIONS
from tests.relay.company import Company

_ADDRESS = "192.0.2.1"


class ConnectionsElsewhereTests(SynchronousTestCase):
    """Limits that hold over all processes of a relay."""

    settings = LiveSettings(
        Settings(
            limits=LimitSettings(max_connections_per_address=4, max_connections=100)
        )
    )

    def setUp(self) -> None:
        """Two processes."""
        self.company = Company()
        self.here, self.there = self.process("here"), self.process("there")

    def process(self, name: str) -> ConnectionLimits:
        """A process that has joined the others."""
        roll_call = self.company.process(name)
        limits = ConnectionLimits(self.settings, roll_call, self.company.clock)
        self.company.join(name, roll_call)
        return limits

    def told(self) -> list[bytes]:
        """What the first process has said of its connections, and forget it."""
        published = self.company.buses["here"].published
        said = [payload for topic, payload in published if topic == CONNECTIONS]
        published.clear()
        return said

    def refused(self, limits: ConnectionLimits, address: str = _ADDRESS) -> bool:
        """Whether one more may not connect."""
        return limits.refusal(address) is not None

    def open(
        self, limits: ConnectionLimits, count: int, address: str = _ADDRESS
    ) -> None:
        """Open connections, and let a few milliseconds go by."""
        for _ in range(count):
            limits.opened(address)
        self.company.clock.advance(0.01)

    def close(
        self, limits: ConnectionLimits, count: int, address: str = _ADDRESS
    ) -> None:
        """Close connections, and let a few milliseconds go by."""
        for _ in range(count):
            limits.closed(address)
        self.company.clock.advance(0.01)

    def test_per_address(self) -> None:
        """Connections of one address count wherever they are."""
        self.open(self.here, 2)
        self.assertFalse(self.refused(self.there))
        self.open(self.there, 2)
        for limits in (self.here, self.there):
            self.assertTrue(self.refused(limits))
            self.assertFalse(self.refused(limits, "192.0.2.2"))
        self.close(self.here, 1)
        self.assertFalse(self.refused(self.there))

    def test_in_all(self) -> None:
        """So do all connections, also those that have no limit of their own."""
        self.open(self.here, 99, "127.0.0.1")
        self.assertFalse(self.refused(self.there))
        self.open(self.there, 1, "192.0.2.9")
        self.assertTrue(self.refused(self.here))
        self.assertTrue(self.refused(self.there))
        self.close(self.here, 1, "127.0.0.1")
        self.assertFalse(self.refused(self.there))

    def test_gathered(self) -> None:
        """Much that changes at a time is told in one message, changes only."""
        for number in range(50):
            self.here.opened(f"192.0.2.{number}")
        self.company.clock.advance(0.01)
        self.told()
        for _ in range(3):
            self.here.opened("198.51.100.1")
        self.here.closed("192.0.2.7")
        self.assertEqual(self.told(), [])
        self.company.clock.advance(0.01)
        (message,) = self.told()
        self.assertLess(len(message), 60)
        self.company.beat(10)
        self.assertEqual(self.told(), [])

    def test_newcomer(self) -> None:
        """Who starts later knows the connections that there are."""
        self.open(self.here, 2)
        self.open(self.there, 2)
        self.assertTrue(self.refused(self.process("late")))

    def test_lost_news(self) -> None:
        """Who has missed news is told all once it is connected again; so are others."""
        self.open(self.here, 3)
        self.company.cut_off("there")
        self.close(self.here, 3)
        self.open(self.here, 1, "198.51.100.1")
        self.open(self.there, 3, "198.51.100.1")
        self.company.buses["there"].reconnect()
        self.assertFalse(self.refused(self.there))
        self.open(self.there, 3)
        self.assertFalse(self.refused(self.there))
        for limits in (self.here, self.there):
            self.assertTrue(self.refused(limits, "198.51.100.1"))

    def test_not_told(self) -> None:
        """What could not be told is told soon, though no connection was lost."""
        self.open(self.here, 3)
        self.open(self.here, 1, "198.51.100.1")
        bus = self.company.buses["here"]
        bus.is_full = True
        self.close(self.here, 3)
        bus.is_full = False
        self.open(self.here, 3, "198.51.100.1")
        self.open(self.there, 2)
        self.company.beat()
        self.assertFalse(self.refused(self.there))
        bus.is_full = True
        self.open(self.here, 2)
        self.company.beat(3)
        self.assertFalse(self.refused(self.there))
        bus.is_full = False
        self.company.beat()
        self.assertTrue(self.refused(self.there))

    def test_newcomer_not_told(self) -> None:
        """So is what a newcomer should have been told at once."""
        self.open(self.here, 4)
        bus = self.company.buses["here"]
        bus.is_full = True
        late = self.process("late")
        self.assertFalse(self.refused(late))
        bus.is_full = False
        self.company.beat()
        self.assertTrue(self.refused(late))

    def test_lost_on_the_way(self) -> None:
        """What was told and did not arrive is told again within a minute."""
        self.open(self.here, 4)
        self.company.buses["there"].is_deaf = True
        self.close(self.here, 4)
        self.company.buses["there"].is_deaf = False
        self.assertTrue(self.refused(self.there))
        self.told()
        self.company.beat(ALL_BEATS)
        self.assertFalse(self.refused(self.there))
        self.assertEqual(len(self.told()), 1)

    def test_nobody_to_tell(self) -> None:
        """As long as nobody else is there, nothing is told."""
        self.company.buses["here"].hear(FAREWELL, "there", b"")
        self.company.cut_off("there")
        self.told()
        self.open(self.here, 4)
        self.company.beat(2 * ALL_BEATS)
        self.assertEqual(self.told(), [])

    def test_gone(self) -> None:
        """The connections of a process that has died are forgotten at once."""
        self.open(self.there, 4)
        self.assertTrue(self.refused(self.here))
        self.company.buses["here"].hear(FAREWELL, "there", b"")
        self.assertFalse(self.refused(self.here))

    def test_silent(self) -> None:
        """Those of one that is silent are forgotten after some seconds."""
        self.open(self.there, 4)
        self.company.cut_off("there")
        self.company.beat(MOST_SILENT_BEATS + 1)
        self.assertFalse(self.refused(self.here))

    def test_forgets(self) -> None:
        """Addresses without connections take no memory, and neither do processes."""
        self.open(self.there, 3)
        self.close(self.there, 3)
        elsewhere = self.here._elsewhere
        self.assertEqual(len(elsewhere._by_group), 0)
        self.assertEqual(elsewhere._processes["there"].by_group, {})
        self.company.buses["here"].hear(FAREWELL, "there", b"")
        self.assertEqual((len(elsewhere._processes), elsewhere.count), (0, 0))

    def test_nonsense(self) -> None:
        """What is not understood is logged and changes nothing."""
        bus = self.company.buses["here"]
        for nonsense in (b"", b"7", b"[]", b'[true,"x",{}]', b"[false,1,[]]"):
            with capturedLogs() as logs:
                bus.hear(CONNECTIONS, "stranger", nonsense)
            self.assertEqual(len(logs), 1, nonsense)
        self.assertFalse(self.refused(self.here))
