"""Tests for :mod:`nostrtx.relay.past_counts`."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr import json
from nostrtx.relay.past_counts import KNOWN, PastCounts


def _tell(teller: PastCounts, *others: PastCounts) -> None:
    """Have ``teller`` tell others all that it knows."""
    for other in others:
        other.learn(json.loads(json.dumps(teller.told())))


class PastCountsTests(SynchronousTestCase):
    """What is known of processes that are gone."""

    def setUp(self) -> None:
        """Two who know nothing yet."""
        self.here, self.there = PastCounts(), PastCounts()

    def add(self, *tellers: PastCounts, numbers: range) -> None:
        """Let processes end that have counted one event each."""
        for number in numbers:
            for teller in tellers:
                teller.add(f"{number:06}", {"x": 1})

    def assert_total(self, count: int, *tellers: PastCounts) -> None:
        """All think that so many events were counted."""
        self.assertEqual([each.total().get("x", 0) for each in tellers], [count] * 2)

    def test_once(self) -> None:
        """A process counts once, however often it is told of; more is later."""
        self.assertEqual(self.here.total(), {})
        for x, y in ((3, 1), (5, 0), (4, 2)):
            self.here.add("a", {"x": x, "y": y})
        self.here.add("b", {"x": 10})
        self.assertEqual(self.here.total(), {"x": 15, "y": 2})
        for _ in range(2):
            _tell(self.here, self.there)
            _tell(self.there, self.here)
        self.assertEqual(self.there.total(), {"x": 15, "y": 2})
        self.assertEqual(self.here.total(), {"x": 15, "y": 2})

    def test_take(self) -> None:
        """One that is there after all is no longer past."""
        self.here.add("a", {"x": 3})
        self.assertEqual(self.here.take("a"), {"x": 3})
        self.assertEqual((self.here.take("a"), self.here.total()), ({}, {}))

    def test_bounded(self) -> None:
        """However many processes end, what is known and told of them is bounded."""
        self.add(self.here, numbers=range(1000))
        self.assertEqual(self.here.total(), {"x": 1000})
        self.assertLess(len(json.dumps(self.here.told())), 25 * 2 * KNOWN)
        _tell(self.here, self.there)
        self.assert_total(1000, self.here, self.there)

    def test_missed_much(self) -> None:
        """
        Who has summed up less far takes the other's sum, and nothing is doubled.

        What only the former has heard of is lost if it is older than what is summed up.
        """
        self.add(self.here, numbers=range(175))
        self.add(self.there, numbers=range(125, 475))
        for _ in range(2):
            _tell(self.there, self.here)
            _tell(self.here, self.there)
        self.assert_total(350, self.here, self.there)

    def test_summed_up_differently_far(self) -> None:
        """Nothing is lost either if both have heard of the older ones."""
        self.add(self.here, self.there, numbers=range(195))
        self.add(self.here, numbers=range(195, 350))
        for _ in range(2):
            _tell(self.there, self.here)
            _tell(self.here, self.there)
        self.assert_total(350, self.here, self.there)

    def test_there_for_long(self) -> None:
        """One that ends when later ones are summed up long since counts as well."""
        self.add(self.here, self.there, numbers=range(10, 300))
        self.add(self.here, numbers=range(1))
        _tell(self.here, self.there)
        self.assert_total(291, self.here, self.there)
        self.add(self.there, numbers=range(1, 10))
        self.add(self.there, numbers=range(300, 1000))
        self.add(self.here, numbers=range(350, 355))
        for _ in range(2):
            _tell(self.here, self.there)
            _tell(self.there, self.here)
        self.assert_total(1000, self.here, self.there)

    def test_all_there_for_long(self) -> None:
        """Nor do many such hurt, for there is nothing later to sum up with them."""
        self.add(self.here, numbers=range(1000, 1201))
        self.add(self.here, numbers=range(250))
        self.assertEqual(self.here.total(), {"x": 451})
        _tell(self.here, self.there)
        self.add(self.there, self.here, numbers=range(2000, 3000))
        _tell(self.there, self.here)
        self.assert_total(1451, self.here, self.there)

    def test_any_order(self) -> None:
        """Those who all see processes end agree, whatever they tell each other when."""
        random = Random(7)
        tellers = [PastCounts() for _ in range(4)]
        for number in range(750):
            for teller in random.sample(tellers, 4):
                teller.add(f"{number:06}", {"x": 1, "y": number % 3})
                if random.random() < 0.02:
                    _tell(random.choice(tellers), *tellers)
        for teller in tellers:
            self.assertEqual(teller.total(), {"x": 750, "y": 750})

    def test_nonsense(self) -> None:
        """What is not understood changes nothing."""
        self.here.add("a", {"x": 1})
        for told in (
            None,
            [],
            ["z", {}],
            [1, {}, {}],
            ["z", [], {}],
            ["z", {"x": "y"}, {}],
            ["z", {"x": True}, {}],
            ["z", {}, []],
            ["z", {}, {"a": 1}],
            ["z", {}, {"a": {"x": None}}],
        ):
            with self.assertRaises(ValueError):
                self.here.learn(told)
        self.assertEqual(self.here.total(), {"x": 1})
