"""Tests for :mod:`nostrtx.relay.moment`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.moment import Moment


class MomentTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.moment.Moment`."""

    def test_comes(self) -> None:
        """All who wait are told, whoever comes later at once, and nobody twice."""
        moment = Moment()
        before = [moment.wait(), moment.wait()]
        self.assertFalse(moment.is_past)
        self.assertNoResult(before[0])
        moment.comes()
        moment.comes()
        self.assertTrue(moment.is_past)
        for waiting in (*before, moment.wait()):
            self.successResultOf(waiting)

    def test_given_up(self) -> None:
        """Who waits no more is not told."""
        moment = Moment()
        waiting = moment.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        moment.comes()
