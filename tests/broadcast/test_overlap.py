"""Tests for :mod:`nostrtx.broadcast.overlap`."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.overlap import OverlapBroadcaster
from tests.broadcast.wires import End, Machine, WireReactor

News = tuple[str, str, bytes]


class OverlapTestCase(SynchronousTestCase):
    """One process of a relay, and another one that takes over from it."""

    def setUp(self) -> None:
        """Neither has heard of the other."""
        self.reactor = WireReactor()
        self.ends: list[End] = []
        self.heard: dict[str, list[News]] = {}
        self.connected: list[str] = []
        self.old, self.new = self.process("old"), self.process("new")

    def process(self, name: str) -> OverlapBroadcaster:
        """A process that listens to two topics."""
        made = OverlapBroadcaster(name, self.reactor, "farewell")
        heard = self.heard[name] = []
        for topic in ("a", "farewell"):

            def note(sender: str, payload: bytes, topic: str = topic) -> None:
                heard.append((topic, sender, payload))

            made.listen(topic, note)
        made.on_connected(lambda: self.connected.append(name))
        self.successResultOf(made.start())
        return made

    def meet(self) -> None:
        """Let them hear one another."""
        numbers = self.reactor.stream()
        self.ends += [self.reactor.ends[number] for number in numbers]
        self.new.join("before", numbers[1])
        self.old.join("after", numbers[0])
        for number in numbers:
            os.close(number)

    def pump(self) -> None:
        """Let everything arrive."""
        while any(end.deliver(65536) for end in self.ends):
            pass
        for end in self.ends:
            if end.is_closing and end.protocol is not None:
                end.hang_up()


class OverlapTests(OverlapTestCase):
    """Tests for :class:`nostrtx.broadcast.overlap.OverlapBroadcaster`."""

    def test_alone(self) -> None:
        """With nobody there, all is told to all, and leaving takes no time."""
        self.assertTrue(self.old.publish("a", b"x"))
        self.assertTrue(self.old.is_connected)
        self.assertEqual(self.old.facts(), {})
        self.successResultOf(self.old.stop())

    def test_both(self) -> None:
        """Each hears the other one, and not itself; both are told when they meet."""
        self.meet()
        self.assertEqual(self.connected, ["new", "old"])
        self.old.publish("a", b"x")
        self.new.publish("a", b"y")
        self.pump()
        self.assertEqual(self.heard["old"], [("a", "new", b"y")])
        self.assertEqual(self.heard["new"], [("a", "old", b"x")])

    def test_leaves(self) -> None:
        """What the old one says last is heard; then the new one is alone."""
        self.meet()
        self.old.publish("farewell", b"")
        stopped = self.old.stop()
        self.assertNoResult(stopped)
        self.pump()
        self.successResultOf(stopped)
        self.assertEqual(
            self.heard["new"], [("farewell", "old", b""), ("farewell", "before", b"")]
        )
        self.successResultOf(self.new.stop())

    def test_hangs(self) -> None:
        """One that does not read cannot keep the other one from ending."""
        self.meet()
        for end in self.ends:
            end.reads = False
        stopped = self.old.stop()
        self.assertNoResult(stopped)
        self.reactor.advance(60)
        self.successResultOf(stopped)

    def test_workers(self) -> None:
        """If one of the two is several workers, all of them are heard and hear."""
        machine = Machine("n/1", "n/2")
        machine.reactor = self.reactor
        heard: list[tuple[str, str]] = []
        for name, worker in machine.workers.items():

            def note(sender: str, payload: bytes, name: str = name) -> None:
                heard.append((name, sender))

            worker.listen("a", note)
        machine.start()
        ours, theirs = machine.hub._reactor.stream()
        self.reactor.ends |= machine.hub._reactor.ends
        self.ends += [self.reactor.ends[number] for number in (ours, theirs)]
        machine.hub.join("after", ours)
        self.new.join("before", theirs)
        self.new.publish("a", b"")
        machine.workers["n/1"].publish("a", b"")
        for _ in range(4):
            machine.pump()
            self.pump()
        self.assertCountEqual(heard, [("n/1", "new"), ("n/2", "new"), ("n/2", "n/1")])
        self.assertEqual(self.heard["new"], [("a", "n/1", b"")])
