"""Tests for :mod:`nostrtx.nostr.proof_of_work`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.proof_of_work import (
    check_proof_of_work,
    committed_difficulty,
    difficulty,
)
from tests.nostr.vectors import load
from tests.storage.events import make_event


def _passes(event: Event, minimum: int, require_commitment: bool) -> bool:
    try:
        check_proof_of_work(event, minimum, require_commitment)
    except Rejected as refusal:
        if refusal.prefix is not ReasonPrefix.POW:
            raise
        return False
    return True


class DifficultyTests(SynchronousTestCase):
    """What an id and a nonce tag say."""

    def test_counting(self) -> None:
        """The difficulty is the number of zero bits that an id begins with."""
        cases = load("pow")["counting"]
        self.assertEqual(len(cases), 8)
        for case in cases:
            self.assertEqual(difficulty(bytes.fromhex(case["id"])), case["bits"])

    def test_vectors(self) -> None:
        """Mined events have their difficulty and state what they aimed at."""
        cases = load("pow")["events"]
        self.assertEqual(len(cases), 5)
        for case in cases:
            event = parse_event(case["event"])
            self.assertEqual(difficulty(event.id), case["difficulty"], case["name"])
            self.assertEqual(
                committed_difficulty(event), case["committed"], case["name"]
            )

    def test_example(self) -> None:
        """The example of NIP-13 is a little better than it aimed to be."""
        example = load("pow")["nip13_example"]
        event = parse_event(example["event"])
        self.assertEqual(difficulty(event.id), example["difficulty"])
        self.assertEqual(committed_difficulty(event), 20)

    def test_unparsable_commitment(self) -> None:
        """What is not a decimal number commits to nothing."""
        for text in ("", "x", " 20", "20 ", "+20", "-20", "2_0", "20.0", "²", "٢٠"):
            event = make_event(tags=[["nonce", "1", text]])
            self.assertIs(committed_difficulty(event), None, text)
        huge = make_event(tags=[["nonce", "1", "9" * 5000]])
        self.assertIs(committed_difficulty(huge), None)

    def test_no_commitment(self) -> None:
        """Without a third element in the first nonce tag there is none."""
        for tags in (
            [],
            [["nonce"]],
            [["nonce", "20"]],
            [["nonce", "1"], ["nonce", "1", "20"]],
        ):
            self.assertIs(committed_difficulty(make_event(tags=tags)), None)

    def test_first_nonce(self) -> None:
        """The first nonce tag counts, wherever it stands."""
        tags = [["t", "x"], ["nonce", "1", "020"], ["nonce", "1", "30"]]
        self.assertEqual(committed_difficulty(make_event(tags=tags)), 20)


class CheckTests(SynchronousTestCase):
    """Which events a relay takes."""

    def test_vectors(self) -> None:
        """Each event passes up to the difficulty that it reached and aimed at."""
        checked = 0
        for case in load("pow")["events"]:
            event = parse_event(case["event"])
            for minimum, expected in case["expect"].items():
                passes = _passes(event, int(minimum), require_commitment=True)
                self.assertEqual(passes, expected, f"{case['name']}, {minimum}")
                checked += 1
        self.assertEqual(checked, 25)

    def test_commitment_not_required(self) -> None:
        """If luck counts, only the id does."""
        for case in load("pow")["events"]:
            event = parse_event(case["event"])
            for minimum in range(20):
                self.assertEqual(
                    _passes(event, minimum, require_commitment=False),
                    case["difficulty"] >= minimum,
                    case["name"],
                )

    def test_reasons(self) -> None:
        """The refusal says how much is asked for, and what there was."""
        cases = load("pow")["events"]
        events = {case["name"]: parse_event(case["event"]) for case in cases}
        for name, minimum, reason in (
            ("committed 12", 17, "pow: difficulty 13 is less than 17"),
            ("committed 12", 13, "pow: the committed difficulty 12 is less than 13"),
            ("no commitment", 8, "pow: the nonce tag must commit to 8 or more"),
        ):
            refusal = self.assertRaises(
                Rejected, check_proof_of_work, events[name], minimum, True
            )
            self.assertEqual(refusal.reason, reason)

    def test_vanish_request(self) -> None:
        """Nobody has to work in order to leave."""
        self.assertTrue(_passes(make_event(kind=62, id=b"\xff" * 32), 32, True))
        self.assertFalse(_passes(make_event(kind=5, id=b"\xff" * 32), 32, True))
