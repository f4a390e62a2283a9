"""Tests for :mod:`nostrtx.relay.policies.verdicts`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.verdicts import (
    Verdict,
    VerdictRecord,
    Verdicts,
    verdict_of,
)


class VerdictsTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.verdicts.Verdicts`."""

    def test_by_rule(self) -> None:
        """What a rule has accepted is told of that rule, the rest of none."""
        verdicts = Verdicts()
        verdicts.accepted = 5
        verdicts.count("accepted", "friends")
        verdicts.count("accepted", "friends")
        verdicts.count("refused", "spam")
        self.assertEqual(
            sorted(verdicts.told()),
            [("", "accepted", 3), ("friends", "accepted", 2), ("spam", "refused", 1)],
        )

    def test_expected(self) -> None:
        """What is expected is told of before it happens, and counts on after that."""
        verdicts = Verdicts()
        verdicts.expect("refused", "spam")
        self.assertEqual(list(verdicts.told()), [("spam", "refused", 0)])
        verdicts.count("refused", "spam")
        verdicts.expect("refused", "spam")
        self.assertEqual(list(verdicts.told()), [("spam", "refused", 1)])

    def test_nothing(self) -> None:
        """Zeros are not told."""
        self.assertEqual(list(Verdicts().told()), [])


class VerdictRecordTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.verdicts.VerdictRecord`."""

    def test_facts(self) -> None:
        """The name of a counter tells what it counts."""
        record = VerdictRecord()
        record.of("rules", "request", False).count("refused", "no.dms")
        record.of("rates", "check", True).accepted += 2
        record.seconds_of("rates", "check").observe(0.5)
        facts = record.facts()
        counted = {verdict_of(fact): count for fact, count in facts.items()}
        self.assertEqual(
            counted,
            {
                Verdict("rules", "request", "no.dms", "no", "refused"): 1,
                Verdict("rates", "check", "", "yes", "accepted"): 2,
                None: facts["policy_seconds:rates:check:sum"],
            },
        )
        for fact, verdict in ((fact, verdict_of(fact)) for fact in facts):
            if verdict is not None:
                self.assertEqual(verdict.fact, fact)

    def test_same(self) -> None:
        """A policy that is made anew counts on."""
        record = VerdictRecord()
        self.assertIs(record.of("p", "admit", True), record.of("p", "admit", True))
        self.assertIsNot(record.of("p", "admit", True), record.of("p", "admit", False))

    def test_other_names(self) -> None:
        """What another version of the relay may tell is no verdict, and no fault."""
        for fact in ("policy_verdicts:p:yes:accepted", "events", "", "a:b:c:d:e:f"):
            self.assertIsNone(verdict_of(fact))
