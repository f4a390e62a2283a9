"""Tests for :mod:`nostrtx.storage.query_plan`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.filters import Filter
from nostrtx.storage.query_plan import Plan, Way, plan_query

_A, _B = b"a" * 32, b"b" * 32


class PlanQueryTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.storage.query_plan.plan_query`."""

    def plan(self, filter_: Filter, **sizes: int) -> Plan:
        """The plan where ways are as large as ``sizes`` says; no other is asked for."""

        def size(way: Way, tag: int) -> int:
            return sizes[way.value if tag < 0 else filter_.tags[tag][0]]

        return plan_query(filter_, size)

    def test_everything(self) -> None:
        """An empty filter goes through all events and checks nothing."""
        plan = self.plan(Filter())
        self.assertIs(plan.way, Way.EVERYTHING)
        self.assertTrue(plan.is_exact)

    def test_no_choice(self) -> None:
        """Where there is one index to use, no size is asked for."""
        for filter_, way in (
            (Filter(kinds=(1, 6)), Way.KINDS),
            (Filter(authors=(_A,), kinds=(1,)), Way.AUTHORS),
            (Filter(authors=(_A, _B)), Way.AUTHORS),
            (Filter(tags=(("e", ("x",)),), kinds=(1,)), Way.TAG),
        ):
            plan = self.plan(filter_)
            self.assertIs(plan.way, way)
            self.assertTrue(plan.is_exact)

    def test_ids_check_the_rest(self) -> None:
        """What is looked up by id must meet every other condition."""
        plan = self.plan(
            Filter(
                ids=(_A,),
                authors=(_A,),
                kinds=(1,),
                since=0,
                tags=(("e", ("x",)), ("p", ("y",))),
            )
        )
        self.assertIs(plan.way, Way.IDS)
        self.assertTrue(plan.check_authors)
        self.assertTrue(plan.check_kinds)
        self.assertTrue(plan.check_times)
        self.assertEqual(plan.check_tags, (0, 1))

    def test_hidden_kinds(self) -> None:
        """Hidden kinds are not looked for, and sieved out where none are named."""
        hidden = frozenset({4, 5})
        for one in (Filter(kinds=(1, 4)), Filter(ids=(_A,), kinds=(4, 1))):
            plan = plan_query(one, lambda way, tag: 0, hidden)
            self.assertEqual((plan.kinds, plan.left_out), ((1,), frozenset()))
        for one, is_checked in (
            (Filter(), True),
            (Filter(ids=(_A,)), True),
            (Filter(authors=(_A,)), False),
            (Filter(tags=(("e", ("x",)),)), False),
        ):
            plan = plan_query(one, lambda way, tag: 0, hidden)
            self.assertEqual((plan.kinds, plan.left_out), (None, hidden))
            self.assertEqual(plan.check_kinds, is_checked)

    def test_ids_alone(self) -> None:
        """Ids alone need no check."""
        self.assertTrue(self.plan(Filter(ids=(_A,))).is_exact)

    def test_addresses(self) -> None:
        """Authors, addressable kinds and ``d`` name addresses."""
        plan = self.plan(
            Filter(
                authors=(_A,),
                kinds=(30023,),
                tags=(("t", ("x",)), ("d", ("y",))),
                until=9,
            )
        )
        self.assertIs(plan.way, Way.ADDRESSES)
        self.assertEqual(plan.tag, 1)
        self.assertEqual(plan.check_tags, (0,))
        self.assertFalse(plan.check_authors)
        self.assertTrue(plan.check_times)

    def test_not_addresses(self) -> None:
        """With a kind that is not addressable, ``d`` is a tag like others."""
        filter_ = Filter(authors=(_A,), kinds=(30023, 1), tags=(("d", ("y",)),))
        plan = self.plan(filter_, authors=9, d=3)
        self.assertIs(plan.way, Way.TAG)
        self.assertTrue(plan.check_authors)
        many = Filter(authors=(_A,), kinds=(30023,), tags=(("d", ("y",) * 300),))
        self.assertIs(self.plan(many, authors=1, d=3).way, Way.AUTHORS)

    def test_smallest(self) -> None:
        """Of several indexes the one that leads to the fewest events is used."""
        filter_ = Filter(authors=(_A,), tags=(("e", ("x",)), ("p", ("y",))))
        by_author = self.plan(filter_, authors=1, e=2, p=3)
        self.assertIs(by_author.way, Way.AUTHORS)
        self.assertEqual(by_author.check_tags, (0, 1))
        by_tag = self.plan(filter_, authors=3, e=2, p=1)
        self.assertIs(by_tag.way, Way.TAG)
        self.assertEqual(by_tag.tag, 1)
        self.assertEqual(by_tag.check_tags, (0,))
        self.assertTrue(by_tag.check_authors)

    def test_fewest_lists(self) -> None:
        """Of several indexes that lead to as many events, the one with fewest keys."""
        tags = (("e", ("x", "y")), ("p", tuple("abcdefgh")))
        for authors, way in (((_A,), Way.AUTHORS), ((_A, _B, _A), Way.TAG)):
            plan = self.plan(Filter(authors=authors, tags=tags), authors=9, e=9, p=9)
            self.assertEqual((plan.way, plan.tag), (way, -1 if len(authors) < 2 else 0))

    def test_impossible_kinds(self) -> None:
        """Kinds that no event can have are dropped."""
        self.assertEqual(self.plan(Filter(kinds=(-1, 7, 65536))).kinds, (7,))
        self.assertEqual(self.plan(Filter(kinds=(65536,))).kinds, ())
        self.assertEqual(self.plan(Filter(ids=(_A,), kinds=(1 << 40,))).kinds, ())
