"""
Tests for :mod:`nostrtx.relay.policies.programs.policy` and its questions.

Real programs are met in :mod:`tests.live.test_programs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.policies import Source, Taken
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event
from nostrtx.relay.policies.observed import NoVerdict
from nostrtx.relay.policies.programs.policy import ProgramPolicy
from nostrtx.settings.programs import ProgramSettings
from tests.relay.policies.programs.processes import FakeProgram, ProgramReactor
from tests.storage.events import make_event

_SOURCE = Source("192.0.2.1")


class ProgramPolicyTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.programs.policy.ProgramPolicy`."""

    def start(self, **settings: Any) -> ProgramPolicy:
        """A program that runs."""
        settings = {"command": "sh", **settings}
        self.reactor = ProgramReactor()
        policy = ProgramPolicy("judge", ProgramSettings(**settings), self.reactor)
        policy.start(self.reactor)
        self.policy = policy
        return policy

    @property
    def programs(self) -> list[FakeProgram]:
        """The processes that were started."""
        return self.reactor.programs

    def ask(self, event: Event, source: Source = _SOURCE) -> Deferred[Taken | None]:
        """Have the program asked."""
        asked = self.policy.admit(event, source)
        assert isinstance(asked, Deferred)
        return asked

    def just_ask(self, event: Event) -> None:
        """Likewise, whatever it says."""
        self.ask(event).addErrback(lambda _: None)  # type: ignore[unused-awaitable]

    def events(self, number: int) -> list[Event]:
        """Some events."""
        return [make_event(content=str(n)) for n in range(number)]

    def test_verdicts(self) -> None:
        """What the program says is what becomes of the event."""
        self.start()
        one, two, three = self.events(3)
        asked = [self.ask(event) for event in (one, two, three)]
        (program,) = self.programs
        self.assertEqual(program.asked, [e.id.hex() for e in (one, two, three)])
        program.answer(three.id.hex())
        program.answer(one.id.hex(), "reject", "no")
        self.assertNoResult(asked[1])
        program.answer(two.id.hex(), "shadowReject")
        refusal = self.failureResultOf(asked[0], Rejected).value
        self.assertEqual(str(refusal), "blocked: no")
        self.assertEqual(self.successResultOf(asked[1]), Taken())
        self.assertIsNone(self.successResultOf(asked[2]))

    def test_kinds(self) -> None:
        """It is not asked about kinds that are none of its business."""
        self.start(kinds=(7, "30000-39999"))
        self.assertIsNone(self.policy.admit(make_event(kind=1), _SOURCE))
        for kind in (7, 30000, 39999):
            self.assertNoResult(self.ask(make_event(kind=kind)))

    def test_least_loaded(self) -> None:
        """Several processes share the work, and what is too much waits."""
        self.start(workers=2, in_flight=2)
        events = self.events(5)
        asked = [self.ask(event) for event in events]
        first, second = self.programs
        self.assertEqual([len(one.asked) for one in (first, second)], [2, 2])
        second.answer(second.asked[0])
        self.assertEqual([len(one.asked) for one in (first, second)], [2, 3])
        self.assertEqual(second.asked[2], events[4].id.hex())
        self.assertEqual(sum(one.called for one in asked), 1)

    def test_max_waiting(self) -> None:
        """If too many wait, there is no verdict for what comes then."""
        self.start(in_flight=1, max_waiting=2)
        events = self.events(4)
        for event in events[:3]:
            self.assertNoResult(self.ask(event))
        self.assertRaises(NoVerdict, self.policy.admit, events[3], _SOURCE)

    def test_same_event_twice(self) -> None:
        """An event that comes twice at once is asked about once if it is taken."""
        self.start()
        event = make_event()
        asked = [self.ask(event), self.ask(event), self.ask(event, Source("::1"))]
        (program,) = self.programs
        self.assertEqual(len(program.asked), 1)
        program.answer(event.id.hex())
        self.assertEqual([self.successResultOf(one) for one in asked], [None] * 3)

    def test_same_event_of_others(self) -> None:
        """A refusal holds for whoever sent the event, and others are asked about."""
        self.start()
        event = make_event()
        others = [Source("::1"), Source("::2"), Source("::1")]
        asked = [self.ask(event), self.ask(event)]
        asked += [self.ask(event, source) for source in others]
        (program,) = self.programs
        program.answer(event.id.hex(), "reject", "not from there")
        for one in asked[:2]:
            self.failureResultOf(one, Rejected)
        self.assertEqual(program.input[-1]["sourceInfo"], "::1")
        program.answer(event.id.hex())
        self.assertEqual([self.successResultOf(one) for one in asked[2:]], [None] * 3)
        self.assertEqual(len(program.asked), 2)

    def test_garbage(self) -> None:
        """Lines that are no answers do no harm, nor do answers nobody asked for."""
        self.start()
        event = make_event()
        asked = self.ask(event)
        (program,) = self.programs
        program.put(b"hello\n{}\n")
        program.answer("ab" * 32)
        program.complain(b"oh\n")
        self.assertNoResult(asked)
        program.answer(event.id.hex())
        program.answer(event.id.hex())
        self.successResultOf(asked)

    def test_ended(self) -> None:
        """What a process had that ended is asked again, of another one, once."""
        self.start(workers=2)
        events = self.events(4)
        asked = [self.ask(event) for event in events]
        first, second = self.programs
        lost = first.asked
        first.end(signal=9)
        self.assertEqual(second.asked[2:], lost)
        for event in events:
            second.answer(event.id.hex())
        self.assertEqual([self.successResultOf(one) for one in asked], [None] * 4)
        self.reactor.advance(1)
        self.assertEqual(len(self.programs), 3)

    def test_poison(self) -> None:
        """An event that ends two processes has no verdict."""
        self.start()
        asked = self.ask(make_event())
        self.programs[0].end(code=3)
        self.assertNoResult(asked)
        self.reactor.advance(0.5)
        self.programs[1].end(code=3)
        self.failureResultOf(asked, NoVerdict)

    def test_restarts(self) -> None:
        """A process that ends at once is started later and later."""
        self.start()
        pauses = []
        for number in range(1, 9):
            self.programs[-1].end(code=1)
            pause = 0.0
            while len(self.programs) == number:
                self.reactor.advance(0.1)
                pause += 0.1
            pauses.append(pause)
        self.assertEqual(pauses, sorted(pauses))
        self.assertGreater(pauses[-1], 20)
        event = make_event()
        self.just_ask(event)
        self.programs[-1].answer(event.id.hex())
        self.programs[-1].end(code=1)
        self.reactor.advance(0.3)
        self.assertEqual(len(self.programs), 10)

    def test_does_not_run(self) -> None:
        """While it cannot run, nothing waits for it."""
        self.start()
        for _ in range(3):
            self.programs[-1].end(code=1)
            self.reactor.advance(1)
        waiting = self.ask(make_event())
        self.programs[-1].end(code=1)
        self.failureResultOf(waiting, NoVerdict)
        event = make_event(content="x")
        self.assertRaises(NoVerdict, self.policy.admit, event, _SOURCE)
        self.reactor.advance(2)
        self.assertNoResult(self.ask(event))

    def test_cannot_start(self) -> None:
        """What is no program has no verdicts, and is looked for again."""
        self.start(command="/nonexistent")
        self.reactor.pump([1] * 9)
        self.assertRaises(NoVerdict, self.policy.admit, make_event(), _SOURCE)

    def test_silence(self) -> None:
        """A process that answers nothing in time is ended, and the event given up."""
        self.start(timeout_seconds=4)
        asked = self.ask(make_event())
        self.reactor.pump([0.5] * 8)
        self.failureResultOf(asked, NoVerdict)
        self.assertEqual(self.programs[0].signals, ["KILL"])

    def test_one_forgotten(self) -> None:
        """A process that forgets one event keeps on if it answers others."""
        self.start(timeout_seconds=4, in_flight=2)
        forgotten, *others = self.events(9)
        asked = self.ask(forgotten)
        for event in others:
            self.just_ask(event)
            self.reactor.advance(0.5)
            self.programs[0].answer(event.id.hex())
        self.failureResultOf(asked, NoVerdict)
        self.assertEqual(self.programs[0].signals, [])
        # What it forgot does not take the place of anything for ever.
        late = [self.ask(make_event(content=f"late {n}")) for n in range(30)]
        for number in range(30):
            self.programs[0].answer(self.programs[0].asked[9 + number])
        self.assertTrue(all(one.called for one in late))

    def test_forgotten_at_rest(self) -> None:
        """What was forgotten before a rest does not stop it from being asked."""
        self.start(timeout_seconds=4, in_flight=2)
        forgotten, other, later = self.events(3)
        asked = self.ask(forgotten)
        self.just_ask(other)
        self.reactor.advance(3)
        self.programs[0].answer(other.id.hex())
        self.reactor.advance(1)
        self.failureResultOf(asked, NoVerdict)
        asked = self.ask(later)
        self.programs[0].answer(later.id.hex())
        self.assertIsNone(self.successResultOf(asked))

    def test_late(self) -> None:
        """While answers are late, fewer are asked for, and half the time is left."""
        self.start(timeout_seconds=4, in_flight=8)
        events = self.events(30)
        asked = [self.ask(event) for event in events]
        (program,) = self.programs
        self.assertEqual(len(program.asked), 8)
        self.reactor.advance(1.9)
        program.answer(program.asked[0])
        self.reactor.advance(0.2)
        # The others had waited for half of their time.
        self.assertEqual(sum(one.called for one in asked), 30 - 8)
        for one in asked[9:]:
            self.failureResultOf(one, NoVerdict)
        self.reactor.advance(2)
        self.assertEqual(sum(one.called for one in asked), 30)
        self.assertEqual(program.signals, [])
        # One at a time is asked then.
        for content in ("x", "y"):
            self.just_ask(make_event(content=content))
        self.assertEqual(len(program.asked), 10)
        for id_ in program.asked[1:9]:
            program.answer(id_)
        self.assertEqual(len(program.asked), 10)
        program.answer(program.asked[9])
        self.assertEqual(len(program.asked), 11)
        for one in asked[1:9]:
            self.failureResultOf(one, NoVerdict)

    def test_changed(self) -> None:
        """A program that has changed is started anew; the old one may finish."""
        script = Path(self.mktemp())
        script.write_text("1")
        self.start(command=("sh", str(script)))
        event, later = self.events(2)
        asked = self.ask(event)
        script.write_text("12")
        self.reactor.pump([1, 1, 1])
        old, new = self.programs
        self.assertTrue(old.has_input)
        self.just_ask(later)
        self.assertEqual(new.asked, [later.id.hex()])
        old.answer(event.id.hex())
        self.successResultOf(asked)
        self.assertFalse(old.has_input)
        old.end()
        self.reactor.advance(60)
        self.assertEqual(len(self.programs), 2)

    def test_changed_idle(self) -> None:
        """One that has nothing to do ends at once."""
        script = Path(self.mktemp())
        script.write_text("1")
        self.start(command=("sh", str(script)))
        script.write_text("12")
        self.reactor.pump([1, 1, 1])
        self.assertEqual([one.has_input for one in self.programs], [False, True])

    def test_stop(self) -> None:
        """At the end all input ends; what is not answered is cancelled."""
        policy = self.start(workers=2)
        asked = self.ask(make_event())
        stopped = policy.stop()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual([one.has_input for one in self.programs], [False, False])
        self.programs[0].end()
        self.assertNoResult(stopped)
        self.programs[1].end()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertRaises(NoVerdict, policy.admit, make_event(), _SOURCE)

    def test_cancelled(self) -> None:
        """Whoever waits may give up, and the answer is of no use then."""
        self.start()
        event = make_event()
        asked = self.ask(event)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.programs[0].answer(event.id.hex())
        self.assertNoResult(self.ask(make_event(content="next")))
