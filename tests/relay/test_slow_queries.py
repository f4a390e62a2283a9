"""Tests for :mod:`nostrtx.relay.slow_queries`."""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.filters import Filter
from nostrtx.relay.slow_queries import REST_SECONDS, SlowQueries, shape_of
from nostrtx.settings.edge import LogSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import HeldStore, RelayUnderTest, req_message

_FEED = Filter(
    authors=(bytes(32), bytes(31) + b"\1"),
    kinds=tuple(range(10)),
    tags=(("e", ("ab", "cd", "ef")),),
    since=1,
    limit=500,
)


def telling_from(seconds: float) -> LiveSettings:
    """Settings that say what is slow."""
    return LiveSettings(Settings(log=LogSettings(slow_query_seconds=seconds)))


class ShapeTests(SynchronousTestCase):
    """Filters in few words."""

    def test_shape(self) -> None:
        """How many values each list has is told, and nothing of who reads what."""
        self.assertEqual(
            shape_of(_FEED),
            "authors=2 kinds=0,1,2,3,4,5,6,7,+2 #e=3 since limit=500",
        )
        self.assertEqual(
            shape_of(Filter(ids=(bytes(32),), until=5, search="two words")),
            "ids=1 until search=2",
        )

    def test_no_condition(self) -> None:
        """A filter without conditions asks for everything."""
        self.assertEqual(shape_of(Filter()), "everything")


class SlowQueriesTests(SynchronousTestCase):
    """Lines in the log."""

    def setUp(self) -> None:
        """Slow is what takes a second."""
        self.clock = Clock()
        self.slow = SlowQueries(telling_from(1.0), self.clock)

    def lines(self, *queries: float, slow: SlowQueries | None = None) -> list[str]:
        """What is written of queries that took so long."""
        with capturedLogs() as logs:
            for seconds in queries:
                (slow or self.slow).note([_FEED], seconds, 7, "done")
        return [str(formatEvent(log)) for log in logs]

    def test_line(self) -> None:
        """A slow query gets a line with all that explains it, a quick one none."""
        self.assertEqual(self.lines(0.999), [])
        (line,) = self.lines(1.25)
        for part in ("1.250 s", "7 events", "(done)", f"{{{shape_of(_FEED)}}}"):
            self.assertIn(part, line)

    def test_many(self) -> None:
        """Many at once do not fill the log: the next line tells how many there were."""
        self.assertEqual(len(self.lines(2.0, 2.0, 2.0)), 1)
        self.clock.advance(REST_SECONDS)
        (line,) = self.lines(2.0)
        self.assertIn(" 2 more were slow", line)

    def test_many_filters(self) -> None:
        """A query of very many filters still has a line of bounded length."""
        with capturedLogs() as logs:
            self.slow.note([_FEED] * 100, 5.0, 0, "out of time")
        (line,) = [str(formatEvent(log)) for log in logs]
        self.assertIn("+92", line)
        self.assertLess(len(line), 1000)

    def test_off(self) -> None:
        """0 tells of none."""
        self.assertEqual(
            self.lines(100.0, slow=SlowQueries(telling_from(0.0), self.clock)), []
        )


class RelayTests(SynchronousTestCase):
    """Queries of a whole relay."""

    def logged(self, seconds: float) -> list[str]:
        """What is written when the store takes so long for a page."""
        log = LogSettings(slow_query_seconds=0.5)
        under_test = RelayUnderTest(attrs.evolve(Settings(), log=log))
        store = under_test.store
        assert isinstance(store, HeldStore)
        store.page_seconds = seconds
        _, session = under_test.connect()
        with capturedLogs() as logs:
            session.message_received(req_message("s", {"kinds": [1]}))
            under_test.turns.settle()
        lines = [str(formatEvent(log)) for log in logs]
        return [line for line in lines if "took the store" in line]

    def test_slow(self) -> None:
        """A REQ for which the store takes long is told of, another one is not."""
        self.assertEqual(self.logged(0.1), [])
        (line,) = self.logged(0.6)
        self.assertIn("{kinds=1 limit=500}", line)
