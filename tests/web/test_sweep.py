"""Tests for :mod:`nostrtx.web.sweep`."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.settings.limits import TimingSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.sweep import ConnectionSweep, ISwept


@implementer(ISwept)
class FakeConnection:
    """
    Notes when it is visited.

    Attributes:
        visits: Seconds on the clock.
        overdue_at: Seconds on the clock.
        number: Its place in the order.
        trouble: Raised by each call, if set.
    """

    def __init__(self, clock: MemoryReactorClock, number: int = 1) -> None:
        self.number = number
        self._clock = clock
        self.visits: list[float] = []
        self.overdue_at: list[float] = []
        self.trouble: Exception | None = None

    def visited(self) -> None:
        """Note it."""
        self.visits.append(self._clock.seconds())
        if self.trouble is not None:
            raise self.trouble

    def overdue(self) -> None:
        """Note it."""
        self.overdue_at.append(self._clock.seconds())
        if self.trouble is not None:
            raise self.trouble


class ConnectionSweepTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.web.sweep.ConnectionSweep`."""

    def setUp(self) -> None:
        """Stop the clock."""
        self.clock = MemoryReactorClock()

    def started(self, ping_seconds: float) -> ConnectionSweep:
        """A sweep at work."""
        timing = TimingSettings(ping_seconds=ping_seconds)
        self.settings = LiveSettings(Settings(timing=timing))
        sweep = ConnectionSweep(self.clock, self.settings)
        sweep.start()
        return sweep

    def pass_time(self, seconds: int) -> None:
        """Let time go by, as it does."""
        self.clock.pump([0.25] * (seconds * 4))

    def test_fake(self) -> None:
        """The fake is what the sweep expects."""
        self.assertTrue(verifyObject(ISwept, FakeConnection(self.clock)))

    def test_each_in_turn(self) -> None:
        """Each connection is visited once per period, and they are spread over it."""
        sweep = self.started(10)
        connections = [FakeConnection(self.clock, number) for number in range(20)]
        for connection in connections:
            sweep.add(connection)
        self.pass_time(30)
        for connection in connections:
            self.assertEqual(len(connection.visits), 3)
            self.assertAlmostEqual(connection.visits[1] - connection.visits[0], 10)
        first = [connection.visits[0] for connection in connections]
        self.assertEqual(len(set(first)), 10)

    def test_removed(self) -> None:
        """A connection that has ended is left alone."""
        sweep = self.started(2)
        connection = FakeConnection(self.clock)
        sweep.add(connection)
        sweep.remove(connection)
        self.pass_time(5)
        self.assertEqual(connection.visits, [])

    def test_off(self) -> None:
        """A period of 0 turns visits off, but ends are still enforced."""
        sweep = self.started(0)
        connection = FakeConnection(self.clock)
        sweep.add(connection)
        sweep.expect_end(connection, 3)
        self.pass_time(10)
        self.assertEqual(connection.visits, [])
        self.assertEqual(len(connection.overdue_at), 1)

    def test_short_period(self) -> None:
        """A period below one second is kept, too."""
        sweep = self.started(0.5)
        connection = FakeConnection(self.clock)
        sweep.add(connection)
        self.pass_time(2)
        self.assertEqual(len(connection.visits), 4)

    def test_other_period(self) -> None:
        """Another period holds for connections that are open, and for their ends."""
        sweep = self.started(50)
        connections = [FakeConnection(self.clock, number) for number in range(20)]
        for connection in connections:
            sweep.add(connection)
        self.settings.change(Settings(timing=TimingSettings(ping_seconds=5)))
        sweep.remove(connections.pop())
        self.pass_time(5)
        self.assertEqual([each.visits for each in connections], [[]] * 19)
        self.pass_time(10)
        self.assertEqual({len(each.visits) for each in connections}, {2})
        self.settings.change(Settings(timing=TimingSettings(ping_seconds=0)))
        self.pass_time(60)
        self.assertEqual({len(each.visits) for each in connections}, {2})

    def test_deadline(self) -> None:
        """An end that does not come is enforced once, soon after its time."""
        sweep = self.started(50)
        connection = FakeConnection(self.clock)
        sweep.expect_end(connection, 5)
        sweep.expect_end(connection, 50)
        self.pass_time(60)
        self.assertEqual(len(connection.overdue_at), 1)
        self.assertTrue(5 <= connection.overdue_at[0] <= 6.5)

    def test_ended_in_time(self) -> None:
        """An end that comes in time is not enforced."""
        sweep = self.started(50)
        connection = FakeConnection(self.clock)
        sweep.expect_end(connection, 5)
        self.pass_time(2)
        sweep.ended(connection)
        self.pass_time(60)
        self.assertEqual(connection.overdue_at, [])

    def test_survives_errors(self) -> None:
        """An exception is logged, and neither ends the sweep nor skips the others."""
        sweep = self.started(1)
        bad, good = FakeConnection(self.clock), FakeConnection(self.clock)
        bad.trouble = ValueError("on purpose")
        for connection in (bad, good):
            sweep.add(connection)
            sweep.expect_end(connection, 1)
        self.pass_time(3)
        self.assertEqual(len(good.visits), 3)
        self.assertEqual(len(bad.visits), 3)
        self.assertEqual(len(good.overdue_at), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 4)

    def test_stop(self) -> None:
        """A sweep that was stopped leaves nothing behind; stopping twice is fine."""
        sweep = self.started(1)
        sweep.start()
        sweep.stop()
        sweep.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
