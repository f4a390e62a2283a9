"""Tests for :mod:`nostrtx.broadcast.workers`."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.broadcast.hub import MAX_UNSENT_BYTES, Outlet
from nostrtx.broadcast.workers import WorkerBroadcaster
from nostrtx.interfaces.processes import IBroadcaster
from tests.broadcast.wires import End, Machine

News = tuple[str, str, bytes]


class MachineTestCase(SynchronousTestCase):
    """Three workers of one machine."""

    def setUp(self) -> None:
        """Three workers that have started."""
        self.machine = Machine("n/1", "n/2", "n/3")
        self.heard: dict[str, list[News]] = {}
        self.connected: dict[str, int] = {}
        for worker in self.machine.workers.values():
            self.attend(worker)
        self.machine.start()
        self.one, self.two, self.three = self.machine.workers.values()

    def attend(self, worker: WorkerBroadcaster) -> None:
        """Take note of what a worker is told on the topics a, b and farewell."""
        heard: list[News] = []
        self.heard[worker.name] = heard
        for topic in ("a", "b", "farewell"):

            def note(sender: str, payload: bytes, topic: str = topic) -> None:
                heard.append((topic, sender, payload))

            worker.listen(topic, note)

        def count() -> None:
            self.connected[worker.name] = self.connected.get(worker.name, 0) + 1

        worker.on_connected(count)


class WorkerBroadcasterTests(MachineTestCase):
    """News between workers."""

    def test_interface(self) -> None:
        """It is a broadcaster, whose processes share one store."""
        self.assertTrue(verifyObject(IBroadcaster, self.one))
        self.assertTrue(self.one.shares_store)
        self.assertTrue(self.one.is_connected)

    def test_all_others(self) -> None:
        """All others hear what one says, whoever it is; the one does not."""
        self.assertTrue(self.one.publish("a", b"x"))
        self.assertTrue(self.three.publish("b", b"y"))
        self.machine.pump()
        self.assertEqual(self.heard["n/1"], [("b", "n/3", b"y")])
        self.assertEqual(self.heard["n/3"], [("a", "n/1", b"x")])
        self.assertCountEqual(
            self.heard["n/2"], [("a", "n/1", b"x"), ("b", "n/3", b"y")]
        )

    def test_in_pieces(self) -> None:
        """Payloads of any bytes and size arrive whole and in order, however cut up."""
        payloads = [b"", b"\x00\n\r\xff", b"123", bytes(70_000), b"end"]
        for self.machine.step in (13, 4096, 65536, 1_000_000):
            self.heard["n/2"].clear()
            for payload in payloads:
                self.one.publish("a", payload)
            self.machine.pump()
            self.assertEqual([news[2] for news in self.heard["n/2"]], payloads)

    def test_byte_by_byte(self) -> None:
        """So do several that come byte by byte."""
        self.machine.step = 1
        payloads = [b"", b"\x00\xff", b"123"]
        for payload in payloads:
            self.one.publish("a", payload)
        self.machine.pump()
        self.assertEqual([news[2] for news in self.heard["n/2"]], payloads)

    def test_other_topics(self) -> None:
        """What nobody listens to is passed over."""
        self.one.publish("z", b"x")
        self.one.publish("a", b"y")
        self.machine.pump()
        self.assertEqual(self.heard["n/2"], [("a", "n/1", b"y")])

    def test_listener_that_fails(self) -> None:
        """A listener that fails is logged; others and later news are heard."""
        worker = self.machine.add("n/4")
        worker.listen("a", lambda sender, payload: self.fail())
        worker.on_connected(lambda: self.fail())
        self.attend(worker)
        worker.start()  # type: ignore[unused-awaitable]
        self.one.publish("a", b"x")
        self.one.publish("b", b"y")
        self.machine.pump()
        self.assertEqual(self.heard["n/4"], [("a", "n/1", b"x"), ("b", "n/1", b"y")])
        self.assertEqual(self.connected["n/4"], 1)
        self.assertEqual(len(self.flushLoggedErrors(self.failureException)), 2)

    def test_connected(self) -> None:
        """Whoever wants to know is told once, at the start."""
        self.machine.pump()
        self.assertEqual(self.connected, {"n/1": 1, "n/2": 1, "n/3": 1})

    def test_stop(self) -> None:
        """What was published before stopping arrives, and the others learn of it."""
        self.one.publish("a", b"x")
        stopped = self.one.stop()
        self.assertNoResult(stopped)
        self.machine.pump()
        self.successResultOf(stopped)
        self.machine.pump()
        self.assertEqual(
            self.heard["n/2"], [("a", "n/1", b"x"), ("farewell", "n/1", b"")]
        )
        self.assertFalse(self.one.is_connected)
        self.assertEqual(self.one.facts(), {"news_unsent": 0})
        self.assertFalse(self.one.publish("a", b"z"))
        self.assertEqual(self.one.facts(), {"news_unsent": 1})
        self.successResultOf(self.one.stop())

    def test_stop_without_hub(self) -> None:
        """A hub that reads no more cannot keep a worker from stopping."""
        self.machine.end_of("n/1").other.reads = False
        self.one.publish("a", b"x")
        stopped = self.one.stop()
        self.machine.reactor.advance(60)
        self.successResultOf(stopped)

    def test_hub_gone(self) -> None:
        """Without its hub a worker is not connected, and says so."""
        closed = self.machine.hub.close()
        self.machine.pump()
        self.successResultOf(closed)
        for worker in self.machine.workers.values():
            self.assertFalse(worker.is_connected)
            self.assertFalse(worker.publish("a", b""))

    def test_killed(self) -> None:
        """The hub says farewell for a worker that dies; others hear one another."""
        self.machine.end_of("n/1").hang_up()
        self.two.publish("a", b"x")
        self.machine.pump()
        farewell = ("farewell", "n/1", b"")
        self.assertEqual(self.heard["n/3"], [farewell, ("a", "n/2", b"x")])
        self.assertEqual(self.heard["n/2"], [farewell])

    def test_half_a_frame(self) -> None:
        """A worker that dies in the middle of a word spoils nothing."""
        end = self.machine.end_of("n/1")
        end.write(b"\x00\x00\x10\x00\x01a")
        self.machine.pump()
        end.hang_up()
        self.two.publish("a", b"x")
        self.machine.pump()
        self.assertEqual(self.heard["n/3"][1:], [("a", "n/2", b"x")])


class SlowWorkerTests(MachineTestCase):
    """One that does not read costs bounded memory, and hurts nobody."""

    def publish(self, count: int) -> None:
        """Have the first worker say so many times a megabyte."""
        for number in range(count):
            self.assertTrue(self.one.publish("a", b"%d" % number + bytes(1_000_000)))
            self.machine.pump()

    def test_little(self) -> None:
        """Within the bound nothing is lost, however late it is read."""
        end = self.machine.end_of("n/2")
        end.reads = False
        self.publish(10)
        end.reads = True
        self.machine.pump()
        self.assertEqual(len(self.heard["n/2"]), 10)
        self.assertEqual(self.connected["n/2"], 1)

    def test_much(self) -> None:
        """Beyond it all is lost until it reads again; then it is told to catch up."""
        end = self.machine.end_of("n/2")
        end.reads = False
        with capturedLogs() as logs:
            self.publish(50)
            self.assertLess(len(end.unread), MAX_UNSENT_BYTES + 2_000_000)
            self.assertEqual(len(self.heard["n/3"]), 50)
            end.reads = True
            self.machine.pump()
        # Nothing was passed over before the gap, and nothing came out of it.
        numbers = [int(payload.rstrip(b"\0")) for _, _, payload in self.heard["n/2"]]
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertGreater(len(numbers), 10)
        self.assertEqual(self.connected, {"n/1": 1, "n/2": 2, "n/3": 1})
        texts = [log["log_format"] for log in logs if "n/2" == log.get("name")]
        self.assertEqual(len(texts), 2)
        self.one.publish("a", b"again")
        self.machine.pump()
        self.assertEqual(self.heard["n/2"][-1], ("a", "n/1", b"again"))

    def test_hub_does_not_read(self) -> None:
        """A hub that is stopped costs a worker no more; it tells all later on."""
        self.machine.end_of("n/1").other.reads = False
        published = [self.one.publish("a", bytes(1_000_000)) for _ in range(50)]
        self.assertEqual(published, sorted(published, reverse=True))
        lost = published.count(False)
        self.assertEqual(self.one.facts(), {"news_unsent": lost})
        self.assertGreater(lost, 30)
        self.machine.end_of("n/1").other.reads = True
        self.machine.pump()
        self.assertEqual(self.connected["n/1"], 2)
        self.assertTrue(self.one.publish("a", b""))
        self.assertEqual(self.one.facts(), {"news_unsent": lost})


class OutletTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.broadcast.hub.Outlet`."""

    def test_interface(self) -> None:
        """It is what transports tell that they are full."""
        outlet = Outlet(End(), lambda: None)
        self.assertTrue(verifyObject(IPushProducer, outlet))
        outlet.stopProducing()
