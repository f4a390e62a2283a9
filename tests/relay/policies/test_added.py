"""Tests for :mod:`nostrtx.relay.policies.added`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.policies import PolicyContext, Source
from nostrtx.nostr.errors import Rejected
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.added import AddedPolicies
from nostrtx.relay.policies.policies import Policies
from nostrtx.settings.file import ConfigError, parse_settings
from nostrtx.storage.memory import MemoryEventStore
from tests.relay.policies.example import install_example
from tests.relay.policies.programs.processes import ProgramReactor
from tests.storage.events import make_event

_PROGRAM = "[[programs]]\ncommand = 'sh'\n"
_PLUGIN = "[[plugins]]\nname = 'quiet-hours'\n"


class AddedPoliciesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.added.AddedPolicies`."""

    def setUp(self) -> None:
        """Have a plugin installed, and a reactor."""
        install_example(self)
        self.reactor = ProgramReactor()

    def added(self, text: str) -> AddedPolicies:
        """What these settings add."""
        return AddedPolicies(
            parse_settings(text),
            Measurements(),
            PolicyContext(self.reactor, MemoryEventStore()),
        )

    def test_none(self) -> None:
        """As a rule there are none."""
        added = self.added("")
        added.start(self.reactor)
        self.assertEqual(
            (added.checks, added.events, added.requests, added.connections),
            ((), (), (), ()),
        )
        added.stop()
        self.successResultOf(Deferred.fromCoroutine(added.ended()))

    def test_what_they_provide(self) -> None:
        """Each is asked what it can be asked; plugins before programs."""
        added = self.added(_PROGRAM + _PLUGIN)
        added.start(self.reactor)
        self.assertEqual((len(added.events), len(added.requests)), (2, 1))
        self.assertEqual((added.checks, added.connections), ((), ()))
        plugin, program = added.events
        # The clock stands at midnight.
        refusing = Policies(events=[plugin])
        self.assertRaises(Rejected, refusing.admit, make_event(), Source())
        asking = Policies(events=[program])
        self.assertIsInstance(asking.admit(make_event(), Source()), Deferred)
        (process,) = self.reactor.programs
        process.answer(make_event().id.hex())
        self.end(added)

    def end(self, added: AddedPolicies) -> None:
        """End all of it."""
        added.stop()
        ended = Deferred.fromCoroutine(added.ended())
        for process in self.reactor.programs:
            if not process.has_input and "KILL" not in process.signals:
                process.signals.append("KILL")
                process.end()
        self.successResultOf(ended)

    def test_apply(self) -> None:
        """With other settings, what is the same goes on; the rest ends or begins."""
        added = self.added(_PROGRAM + "[[programs]]\ncommand = 'cat'\n")
        added.start(self.reactor)
        kept, old = added.events
        changed = parse_settings(_PROGRAM + "[[programs]]\ncommand = 'ls'\n")
        added.check(changed)
        added.apply(changed)
        self.assertIs(added.events[0], kept)
        self.assertIsNot(added.events[1], old)
        self.assertEqual(
            [(one.arguments, one.has_input) for one in self.reactor.programs],
            [(["sh"], True), (["cat"], False), (["ls"], True)],
        )
        self.end(added)

    def test_apply_fails(self) -> None:
        """Settings that cannot be used change nothing."""
        added = self.added(_PROGRAM)
        added.start(self.reactor)
        wrong = parse_settings("[[plugins]]\nname = 'nothing'\n")
        self.assertRaises(ConfigError, added.check, wrong)
        self.assertEqual(len(added.events), 1)
        self.assertTrue(self.reactor.programs[0].has_input)
        self.end(added)
