"""Tests for :mod:`nostrtx.relay.roll_call`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.processes import IOtherProcesses
from nostrtx.relay.roll_call import FAREWELL, MOST_SILENT_BEATS, RollCall
from tests.relay.company import Company


class RollCallTests(SynchronousTestCase):
    """Processes know of each other."""

    def setUp(self) -> None:
        """One process, and what it is told of others."""
        self.company = Company()
        self.here = self.company.process("here")
        self.arrivals = 0
        self.departures: list[str] = []
        self.here.on_arrival(self.arrive)
        self.here.on_departure(self.departures.append)
        self.company.join("here", self.here)
        self.arrivals = 0

    def arrive(self) -> None:
        """Count an arrival."""
        self.arrivals += 1

    def other(self, name: str = "other") -> RollCall:
        """Another process, which has joined."""
        other = self.company.process(name)
        self.company.join(name, other)
        return other

    def test_interface(self) -> None:
        """It is what those rely on who tell of themselves."""
        self.assertTrue(verifyObject(IOtherProcesses, self.here))

    def test_alone(self) -> None:
        """A process that hears nobody is alone, however long."""
        self.company.beat(10)
        self.assertTrue(self.here.are_none)
        self.assertEqual((self.arrivals, self.departures), (0, []))

    def test_arrival(self) -> None:
        """A newcomer is known to all at once, and knows them; each is told once."""
        other = self.other()
        third = self.other("third")
        self.assertEqual(self.here.names, ["other", "third"])
        self.assertEqual(other.names, ["here", "third"])
        self.assertEqual(third.names, ["here", "other"])
        self.assertFalse(third.are_none)
        self.assertEqual(self.arrivals, 2)
        self.company.beat(20)
        self.assertEqual(self.arrivals, 2)
        self.assertEqual(self.departures, [])

    def test_first(self) -> None:
        """Of all that are there one is the first; another one once it is gone."""
        self.assertTrue(self.here.is_first)
        other, third = self.other(), self.other("third")
        processes = (self.here, other, third)
        self.assertEqual([one.is_first for one in processes], [True, False, False])
        self.here.stop()
        self.assertEqual([one.is_first for one in processes[1:]], [True, False])
        self.company.cut_off("other")
        self.company.beat(MOST_SILENT_BEATS + 1)
        self.assertTrue(third.is_first)
        # Nobody else is heard there, either.
        self.assertTrue(other.is_first)

    def test_first_unknown(self) -> None:
        """Somebody of whom not even the start is known may have been there before."""
        self.here.listen("topic", lambda sender, message: None)
        self.company.buses["here"].hear("topic", "other", b"")
        self.assertFalse(self.here.is_first)
        self.company.beat(MOST_SILENT_BEATS + 1)
        self.assertTrue(self.here.is_first)

    def test_farewell(self) -> None:
        """Who stops is gone at once."""
        self.other().stop()
        self.assertEqual(self.departures, ["other"])
        self.assertTrue(self.here.are_none)

    def test_farewell_by_another(self) -> None:
        """If somebody else knows that a process has died, that counts as well."""
        self.other()
        self.company.buses["here"].hear(FAREWELL, "other", b"")
        self.assertEqual(self.departures, ["other"])

    def test_silence(self) -> None:
        """Who is silent for some beats is gone, for the time being."""
        self.other()
        self.company.cut_off("other")
        self.company.beat(MOST_SILENT_BEATS)
        self.assertEqual(self.departures, [])
        self.company.beat()
        self.assertEqual(self.departures, ["other"])
        self.company.beat(10)
        self.assertEqual(self.departures, ["other"])

    def test_back_again(self) -> None:
        """Who was cut off and is back is told everything, by all."""
        self.other()
        self.company.cut_off("other")
        self.company.beat(MOST_SILENT_BEATS + 1)
        self.company.buses["other"].reconnect()
        self.assertEqual(self.arrivals, 2)
        self.assertEqual(self.here.names, ["other"])

    def test_cut_off_for_a_moment(self) -> None:
        """So is one whose absence nobody has noticed, for it has missed something."""
        self.other()
        self.company.cut_off("other")
        self.company.buses["other"].reconnect()
        self.assertEqual(self.arrivals, 2)
        self.assertEqual(self.departures, [])

    def test_replaced(self) -> None:
        """A new process of the same name means that the old one is gone."""
        self.other()
        replacement = self.company.process("other")
        self.company.join("other", replacement)
        self.assertEqual(self.departures, ["other"])
        self.assertEqual(self.here.names, ["other"])
        self.assertEqual(self.arrivals, 2)

    def test_stopped_for_long(self) -> None:
        """A process that was stopped for an hour does not take others for gone."""
        self.other()
        self.company.clock.advance(3600)
        self.assertEqual(self.here.names, ["other"])

    def test_listen(self) -> None:
        """Whoever says anything of itself is there before that is heard."""
        heard = []
        here = self.company.process("late")
        here.listen("topic", lambda *news: heard.append((here.names, *news)))
        self.company.buses["late"].hear("topic", "stranger", b"x")
        self.assertEqual(heard, [(["stranger"], "stranger", b"x")])

    def test_one_that_fails(self) -> None:
        """A listener that fails is logged and hinders neither others nor the roll."""

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        fails = self.company.process("fails")
        calls: list[str] = []
        fails.on_arrival(fail)
        fails.on_arrival(lambda: calls.append("arrival"))
        fails.on_beat(fail)
        fails.on_beat(lambda: calls.append("beat"))
        fails.on_departure(fail)
        fails.on_departure(lambda _: calls.append("departure"))
        self.company.join("fails", fails)
        calls.clear()
        self.company.beat(2)
        self.here.stop()
        self.assertEqual(calls, ["beat", "beat", "departure"])
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_stop(self) -> None:
        """A process that has stopped leaves nothing in the reactor."""
        self.here.stop()
        self.assertEqual(self.company.clock.getDelayedCalls(), [])
        self.company.process("never started").stop()
