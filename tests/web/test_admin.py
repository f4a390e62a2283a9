"""Tests for :mod:`nostrtx.web.admin`."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.store import StoreError
from nostrtx.relay.statistics import Statistics
from nostrtx.web.admin import STORE_SECONDS, AdminResource
from nostrtx.web.site import QuietSite
from tests.relay.fakes import HeldStore
from tests.web.test_metrics import parsed
from tests.web.test_root import Answer


class AdminTests(SynchronousTestCase):
    """The operator's pages."""

    def setUp(self) -> None:
        """A process that is ready."""
        self.clock = Clock()
        self.store = HeldStore()
        self.faults: dict[str, str] = {}
        statistics = Statistics()
        statistics.events_stored = 42
        self.pages = AdminResource(
            self.store, statistics.facts, lambda: self.faults, dict, self.clock
        )
        self.site: Any = QuietSite(self.pages, timeout=10, reactor=self.clock)
        self.transport = StringTransport()

    def ask(self, path: str, method: str = "GET") -> None:
        """Send a request."""
        channel = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self.transport = StringTransport()
        channel.makeConnection(self.transport)
        channel.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())

    def get(self, path: str, method: str = "GET") -> Answer:
        """The answer to a request."""
        self.ask(path, method)
        return Answer(self.transport.value())

    def readiness(self) -> tuple[int, Any]:
        """The status of /readyz, and what it tells."""
        answer = self.get("/readyz")
        return answer.code, json.loads(answer.body)

    def test_health(self) -> None:
        """A process that answers is alive, whatever it lacks."""
        self.faults["bans"] = "not read"
        self.store.bans_error = StoreError("on purpose")
        answer = self.get("/healthz")
        self.assertEqual((answer.code, answer.body), (200, b"ok\n"))

    def test_ready(self) -> None:
        """A process is ready if nothing is wrong."""
        self.assertEqual(self.readiness(), (200, {"ready": True, "faults": {}}))

    def test_not_ready_for_haproxy(self) -> None:
        """Who asks so is answered 404, and all else as ever."""
        self.assertEqual(self.get("/readyz?unready=404").code, 200)
        self.faults["bans"] = "not read"
        answer = self.get("/readyz?unready=404")
        self.assertEqual(answer.code, 404)
        self.assertEqual(json.loads(answer.body)["faults"], {"bans": "not read"})
        for query in ("", "?unready=", "?unready=200", "?unready=404&unready=200"):
            self.assertEqual(self.get(f"/readyz{query}").code, 503)

    def test_not_ready(self) -> None:
        """Of one that is not ready, all that is wrong is told."""
        self.faults["bans"] = "not read"
        self.store.bans_error = StoreError("the disk is gone")
        code, told = self.readiness()
        self.assertEqual(code, 503)
        self.assertEqual(
            told,
            {
                "ready": False,
                "faults": {"bans": "not read", "store": "the disk is gone"},
            },
        )

    def test_store_hangs(self) -> None:
        """A store that does not answer in time is a fault, and not waited for."""
        self.store.hold_bans = True
        self.ask("/readyz")
        self.assertEqual(self.transport.value(), b"")
        self.clock.advance(STORE_SECONDS)
        answer = Answer(self.transport.value())
        self.assertEqual(answer.code, 503)
        self.assertIn("not answered", json.loads(answer.body)["faults"]["store"])

    def test_store_is_broken(self) -> None:
        """What the store should not do is logged, and a fault."""
        self.store.bans_error = ZeroDivisionError()
        self.assertEqual(self.readiness()[1]["faults"], {"store": "internal error"})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_metrics(self) -> None:
        """Metrics are what was counted, and how the store is."""
        answer = self.get("/metrics")
        self.assertEqual(answer.code, 200)
        self.assertTrue(answer.headers["content-type"].startswith("text/plain"))
        shown = parsed(answer.body)
        self.assertEqual(shown["nostrtx_store_up"].samples[0].value, 1)
        stored = [each.value for each in shown["nostrtx_events"].samples]
        self.assertEqual(stored[0], 42)

    def test_metrics_without_store(self) -> None:
        """Metrics are there when the store is not."""
        self.store.bans_error = StoreError("on purpose")
        shown = parsed(self.get("/metrics").body)
        self.assertEqual(shown["nostrtx_store_up"].samples[0].value, 0)

    def test_metrics_without_sizes(self) -> None:
        """A store that is too busy to say how large it is answers all the same."""
        self.store.sizes_error = StoreError("canceling statement due to timeout")
        shown = parsed(self.get("/metrics").body)
        self.assertEqual(shown["nostrtx_store_up"].samples[0].value, 1)
        self.assertEqual(shown["nostrtx_store_bytes"].samples, [])

    def test_fault(self) -> None:
        """A fault of ours is answered as one, and nobody waits for ever."""
        self.store.sizes_error = ZeroDivisionError()
        answer = self.get("/metrics")
        self.assertEqual((answer.code, answer.body), (500, b"internal error\n"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_metrics_before_joining(self) -> None:
        """Sums are not told before it is known what others have counted."""
        self.faults["cluster"] = "not yet"
        self.assertEqual(self.get("/metrics").code, 503)
        self.faults = {"listener": "shutting down"}
        self.assertEqual(self.get("/metrics").code, 200)

    def test_head(self) -> None:
        """HEAD tells as much as a status can."""
        self.faults["bans"] = "not read"
        answer = self.get("/readyz", "HEAD")
        self.assertEqual((answer.code, answer.body), (503, b""))

    def test_elsewhere(self) -> None:
        """There is nothing else, and nothing can be changed."""
        self.assertEqual(self.get("/").code, 404)
        answer = self.get("/metrics", "POST")
        self.assertEqual((answer.code, answer.headers["allow"]), (405, "GET, HEAD"))

    def test_stop(self) -> None:
        """Who still waits for the store in the end is not answered."""
        self.store.hold_bans = True
        self.ask("/readyz")
        self.pages.stop()
        self.clock.advance(STORE_SECONDS)
        self.assertEqual(self.transport.value(), b"")
