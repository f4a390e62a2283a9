"""Tests for :mod:`nostrtx.joining`."""

from __future__ import annotations

from socket import gethostname

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.processes import BroadcasterUnusable
from nostrtx.joining import BroadcasterService, name_of_node
from nostrtx.relay.roll_call import RollCall
from nostrtx.settings.edge import ListenSettings
from nostrtx.settings.storing import ClusterSettings
from nostrtx.settings.tree import Settings
from tests.broadcast.fakes import FakeBroadcaster


class SlowBroadcaster(FakeBroadcaster):
    """One that joins the others when the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.started: Deferred[None] = Deferred()

    def start(self) -> Deferred[None]:
        """Fires when the test says."""
        return self.started


class BroadcasterServiceTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.joining.BroadcasterService`."""

    def setUp(self) -> None:
        """A process that has begun to join the others."""
        self.broadcaster = SlowBroadcaster()
        self.why: list[str] = []
        roll_call = RollCall(self.broadcaster, Clock(), bytes)
        self.service = BroadcasterService(self.broadcaster, roll_call, self.why.append)
        self.waiting = self.service.joined.wait()
        self.service.startService()

    def test_joined(self) -> None:
        """It may serve once it has joined, and whoever asks later may at once."""
        self.assertNoResult(self.waiting)
        self.broadcaster.started.callback(None)
        self.successResultOf(self.waiting)
        self.successResultOf(self.service.joined.wait())
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.why, [])

    def test_refused(self) -> None:
        """One that may not join gives up, with one line, and never serves."""
        refusal = BroadcasterUnusable("a has another secret than this node")
        self.broadcaster.started.errback(refusal)
        self.assertEqual(self.why, [f"nostr-relay: {refusal}"])
        self.assertNoResult(self.waiting)

    def test_defect(self) -> None:
        """So does one that fails to join for a reason that nobody thought of."""
        self.broadcaster.started.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.why), 1)
        self.assertNoResult(self.waiting)

    def test_stopped_before(self) -> None:
        """Whoever stops it before it has joined need not wait, nor complain."""
        self.successResultOf(self.service.stopService())
        self.assertNoResult(self.waiting)
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.why, [])


class NameTests(SynchronousTestCase):
    """What a node is called."""

    def test_node(self) -> None:
        """It is called what the settings say, else what the machine is called."""
        cluster = ClusterSettings(node="n")
        self.assertEqual(name_of_node(Settings(cluster=cluster), bytes), "n")
        self.assertEqual(name_of_node(Settings(), bytes), gethostname())

    def test_takeover(self) -> None:
        """One that may be there together with its predecessor has a name of its own."""
        cluster, listen = ClusterSettings(node="n"), ListenSettings(takeover="x")
        settings = Settings(cluster=cluster, listen=listen)
        self.assertEqual(name_of_node(settings, lambda n: b"a" * n), "n.61616161")
        self.assertEqual(name_of_node(settings, lambda n: b"b" * n), "n.62626262")
