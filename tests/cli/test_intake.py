"""Tests for :mod:`nostrtx.cli.intake`."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from nostrtx.cli.asked_policies import Questions
from nostrtx.cli.intake import Intake
from nostrtx.interfaces.policies import IEventCheck, IEventPolicy, Source, Taken
from nostrtx.interfaces.store import SaveOutcome
from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.relay.policies.policies import Policies
from nostrtx.settings.limits import LimitSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.turns import ScheduledTurns
from tests.relay.policies.watched import observed
from tests.storage.events import signed_event
from tests.storage.store_case import count_now

NOW = 1_700_000_000


@implementer(IEventCheck, IEventPolicy)
class ByKind:
    """Refuses kind 4 at sight, takes kind 5, refuses 6, and answers for 7 later."""

    def __init__(self) -> None:
        self.waiting: Deferred[Taken | None] = Deferred()
        self.asked: list[int] = []

    def check_event(self, event: Event, source: Source) -> None:
        """Refuse kind 4."""
        if event.kind == 4:
            raise Rejected(ReasonPrefix.BLOCKED, "kind 4")

    def admit(
        self, event: Event, source: Source
    ) -> Deferred[Taken | None] | Taken | None:
        """Decide."""
        self.asked.append(event.kind)
        if event.kind == 6:
            raise Rejected(ReasonPrefix.BLOCKED, "kind 6")
        if event.kind == 7:
            return self.waiting
        return Taken("muted") if event.kind == 5 else None


class IntakeTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.cli.intake.Intake`."""

    def setUp(self) -> None:
        """Have a store in memory, on a fake clock."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryEventStore()
        self.store.open()

    def job(self, verify: bool = True) -> Intake:
        """One that checks signatures in place."""
        return Intake(
            self.store, ScheduledTurns(self.clock), self.clock, Settings(), verify
        )

    def run_lines(self, job: Intake, *lines: bytes) -> None:
        """Take lines in, and let the reactor turn until they have arrived."""
        for line in lines:
            job.take(line)
        self.clock.pump([0.0] * 10)

    def stored(self) -> int:
        """How many events the store has."""
        return count_now(self.store.count([Filter()], NOW))

    def test_events_are_stored(self) -> None:
        """Each line that holds an event puts it into the store, blank ones nothing."""
        job = self.job()
        first = signed_event(created_at=NOW, content="one")
        second = signed_event(created_at=NOW, content="two")
        self.run_lines(job, first.raw + b"\n", b"\n", second.raw)
        self.assertEqual(job.summary.lines, 2)
        self.assertEqual(job.summary.outcomes[SaveOutcome.STORED], 2)
        self.assertEqual(self.stored(), 2)

    def test_again_is_duplicate(self) -> None:
        """Taking in again stores nothing twice, and says so."""
        event = signed_event(created_at=NOW)
        self.run_lines(self.job(), event.raw)
        again = self.job()
        self.run_lines(again, event.raw)
        self.assertEqual(again.summary.outcomes[SaveOutcome.DUPLICATE], 1)
        self.assertEqual(self.stored(), 1)

    def test_refusals_are_counted_by_reason(self) -> None:
        """What cannot be stored is counted under the reason, and harms nothing."""
        good = signed_event(created_at=NOW)
        job = self.job()
        self.run_lines(
            job,
            b"not json",
            b'{"kind":1}',
            b'{"id":"\xff"}',
            good.raw.replace(good.sig.hex().encode(), b"0" * 128),
            signed_event(created_at=NOW, kind=20001).raw,
            signed_event(created_at=NOW + 10_000).raw,
            signed_event(created_at=NOW, tags=[["expiration", str(NOW)]]).raw,
            good.raw,
        )
        self.assertEqual(
            dict(job.summary.refused),
            {
                "invalid: not JSON": 2,
                "invalid: the event has no id": 1,
                "invalid: bad signature": 1,
                "invalid: ephemeral events are not stored": 1,
                "invalid: created_at is too far in the future": 1,
                "invalid: event has expired": 1,
            },
        )
        self.assertEqual(self.stored(), 1)
        self.assertIn("refused", job.summary.text())

    def test_nonsense(self) -> None:
        """What holds no event at all is told from what holds bad ones."""
        for lines, is_nonsense in (
            ((), False),
            ((b"\x1f\x8b", b"[{}]"), True),
            ((b"{}",), False),
            ((b"[]", signed_event(created_at=NOW).raw), False),
        ):
            job = self.job()
            self.run_lines(job, *lines)
            self.assertEqual(job.summary.is_nonsense, is_nonsense, lines)

    def test_no_verify_trusts_signatures(self) -> None:
        """Without verification a bad signature is stored, a wrong id is not."""
        event = signed_event(created_at=NOW)
        job = self.job(verify=False)
        bad_signature = event.raw.replace(event.sig.hex().encode(), b"0" * 128)
        bad_id = event.raw.replace(event.id.hex().encode(), b"0" * 64)
        self.run_lines(job, bad_signature, bad_id)
        self.assertEqual(job.summary.outcomes[SaveOutcome.STORED], 1)
        self.assertEqual(job.summary.refused.total(), 1)

    def test_check(self) -> None:
        """What a check refuses is counted under its reason and not stored."""

        def check(event: Event) -> None:
            if event.kind == 7:
                raise invalid("no reactions here")

        job = Intake(
            self.store,
            ScheduledTurns(self.clock),
            self.clock,
            Settings(),
            True,
            check,
        )
        self.run_lines(
            job,
            signed_event(created_at=NOW).raw,
            signed_event(created_at=NOW, kind=7).raw,
        )
        self.assertEqual(dict(job.summary.refused), {"invalid: no reactions here": 1})
        self.assertEqual(self.stored(), 1)

    def test_policies(self) -> None:
        """What policies refuse or take is counted under the reason and not stored."""
        policy = ByKind()
        job = Intake(
            self.store,
            ScheduledTurns(self.clock),
            self.clock,
            Settings(),
            True,
            None,
            Questions(Policies(observed(policy), observed(policy)), Source(), 64),
        )
        notes = [
            signed_event(created_at=NOW, kind=kind).raw for kind in (1, 4, 5, 6, 7)
        ]
        again = signed_event(created_at=NOW, kind=6, content="forged")
        bad = again.raw.replace(again.sig.hex().encode(), b"0" * 128)
        self.run_lines(job, *notes, bad)
        end = Deferred.fromCoroutine(job.wait_until_at_most(0))
        self.assertNoResult(end)
        policy.waiting.callback(None)
        self.clock.pump([0.0] * 10)
        self.successResultOf(end)
        self.assertEqual(
            dict(job.summary.refused),
            {
                "blocked: kind 4": 1,
                "muted": 1,
                "blocked: kind 6": 1,
                "invalid: bad signature": 1,
            },
        )
        self.assertEqual(self.stored(), 2)
        self.assertEqual(policy.asked, [1, 5, 6, 7])

    def test_limits(self) -> None:
        """Limits hold for strangers' events, whatever their age, and not for a dump."""
        limits = LimitSettings(
            max_message_bytes=1024,
            max_event_tags=2,
            max_content_length=500,
            created_at_lower_seconds=10,
        )
        large = signed_event(created_at=NOW, content="é" * 400)
        long = signed_event(created_at=NOW, content="x" * 501)
        many = signed_event(created_at=NOW, tags=[["t", "x"]] * 3)
        old = signed_event(created_at=NOW - 1000)
        for is_strict, accepted in ((True, 1), (False, 3)):
            job = Intake(
                self.store,
                ScheduledTurns(self.clock),
                self.clock,
                Settings(limits=limits),
                True,
                None,
                None,
                is_strict,
            )
            self.run_lines(job, *[one.raw for one in (large, long, many, old)])
            outcomes = job.summary.outcomes
            self.assertEqual(outcomes[SaveOutcome.STORED], accepted)
            refused = {
                "invalid: more than 1024 bytes": 1,
                "invalid: content of more than 500 characters": 1,
                "invalid: more than 2 tags": 1,
            }
            self.assertEqual(dict(job.summary.refused), refused if is_strict else {})

    def test_waits_for_what_is_on_the_way(self) -> None:
        """The end comes only when everything that was taken has been answered for."""
        job = self.job()
        job.take(signed_event(created_at=NOW).raw)
        waiting = [Deferred.fromCoroutine(job.wait_until_at_most(0)) for _ in range(3)]
        for one in waiting:
            self.assertNoResult(one)
        self.clock.pump([0.0] * 10)
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.stored(), 1)
