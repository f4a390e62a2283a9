"""Tests for :mod:`nostrtx.relay.policies.searches`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.searches import Searches

_HERE, _THERE = frozenset({"10.0.0.0/8"}), frozenset({"192.0.2.1", "2001:db8::/32"})


class SearchesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.searches.Searches`."""

    def test_nothing(self) -> None:
        """At first, nothing is looked for."""
        self.assertEqual(Searches().search.found("a"), set())
        self.assertEqual(Searches().lack(frozenset(), []), 0)

    def test_words(self) -> None:
        """All words are looked for, and prepared again only if they are others."""
        words = frozenset({"casino", "sats"})
        searches = Searches().for_these(words, [])
        self.assertEqual(searches.search.found("a casino"), {"casino"})
        self.assertEqual(searches.lack(words, []), 0)
        self.assertIs(searches.for_these(words, [_HERE]).search, searches.search)
        self.assertEqual(searches.lack(frozenset({"casino"}), []), 1)
        self.assertEqual(searches.lack(frozenset(), []), 1)
        fewer = searches.for_these(frozenset(), [])
        self.assertEqual(fewer.search.found("a casino"), set())

    def test_networks(self) -> None:
        """Each list of addresses is by itself, and prepared once."""
        searches = Searches().for_these(frozenset(), [_HERE])
        self.assertEqual(searches.lack(frozenset(), [_HERE, _THERE]), 2)
        more = searches.for_these(frozenset(), [_HERE, _THERE])
        self.assertIs(more.networks[_HERE], searches.networks[_HERE])
        self.assertTrue(more.networks[_HERE].find("10.1.2.3"))
        self.assertIsNone(more.networks[_HERE].find("192.0.2.1"))
        self.assertTrue(more.networks[_THERE].find("2001:db8::1"))
        self.assertEqual(set(more.for_these(frozenset(), [_THERE]).networks), {_THERE})
