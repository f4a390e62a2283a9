"""Tests for :mod:`nostrtx.web.shedding`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from nostrtx.web.shedding import SETTLE_SECONDS, STEP_SECONDS, IShed, Shedding


@implementer(IShed)
class Connection:
    """
    A connection that goes when it is told to.

    Args:
        clock: Tells when.
        others: Where it is until it is gone.
    """

    def __init__(self, clock: Clock, others: set[Connection]) -> None:
        self.told = -1.0
        self.left = -1.0
        self._clock = clock
        self._others = others
        others.add(self)

    def begin_to_leave(self) -> None:
        """Take note of the time."""
        assert self.told < 0
        self.told = self._clock.seconds()

    def leave(self) -> None:
        """Take note of the time, and go."""
        assert self.left < 0
        self.left = self._clock.seconds()
        self._others.discard(self)


class SheddingTests(SynchronousTestCase):
    """Sending clients away."""

    def setUp(self) -> None:
        """Nobody is there."""
        self.clock = Clock()
        self.open: set[Connection] = set()

    def shed(
        self, seconds: float, count: int
    ) -> tuple[Deferred[None], set[Connection]]:
        """Begin to send some away."""
        made = {Connection(self.clock, self.open) for _ in range(count)}
        shedding = Shedding(lambda: self.open, seconds, self.clock)
        return Deferred.fromCoroutine(shedding.run()), made

    def go_on(self, seconds: float) -> None:
        """Let time go by, step by step."""
        self.clock.pump([STEP_SECONDS] * round(seconds / STEP_SECONDS))

    def test_fake(self) -> None:
        """Connections in these tests are what is expected."""
        self.assertTrue(verifyObject(IShed, Connection(self.clock, self.open)))

    def test_nobody(self) -> None:
        """Without connections it is over at once."""
        over, _ = self.shed(10, 0)
        self.successResultOf(over)

    def test_spread(self) -> None:
        """They go evenly over the whole time, each a moment after it was told."""
        over, made = self.shed(10, 1000)
        self.go_on(11)
        self.successResultOf(over)
        for second in range(10):
            told = [each for each in made if second <= each.told < second + 1]
            self.assertTrue(80 <= len(told) <= 120, (second, len(told)))
        for each in made:
            self.assertGreaterEqual(each.left - each.told, SETTLE_SECONDS - 1e-9)
            self.assertLess(each.left - each.told, SETTLE_SECONDS + 2 * STEP_SECONDS)

    def test_few(self) -> None:
        """A few go one by one."""
        over, made = self.shed(10, 3)
        self.go_on(11)
        self.successResultOf(over)
        self.assertEqual(len({each.told for each in made}), 3)

    def test_at_once(self) -> None:
        """Without time, all go together."""
        over, made = self.shed(0, 50)
        self.assertEqual({each.told for each in made}, {0.0})
        self.go_on(1)
        self.successResultOf(over)

    def test_late(self) -> None:
        """Who comes meanwhile is sent away as well."""
        over, _ = self.shed(5, 100)
        self.go_on(2)
        late = Connection(self.clock, self.open)
        self.go_on(4)
        self.successResultOf(over)
        self.assertGreaterEqual(late.left, 2.0)

    def test_stays(self) -> None:
        """It waits for one that does not go, and tells it nothing twice."""
        over, _ = self.shed(0, 1)
        (each,) = self.open
        self.go_on(1)
        self.open.add(each)
        self.go_on(3)
        self.successResultOf(over)

    def test_cancelled(self) -> None:
        """It may be given up."""
        over, _ = self.shed(5, 10)
        over.cancel()
        self.failureResultOf(over, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
