"""Tests for :mod:`nostrtx.relay.policies.buckets`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.buckets import MOST_DEBT, MOST_DUE, Buckets, take_both
from nostrtx.settings.rates import parse_rate

#: Seconds since some start, weeks ago, at which fractions are not exact.
_NOW = 1_764_000.123


def make_buckets(text: str, most: int = 1000) -> Buckets[str]:
    """The buckets of a rate."""
    rate = parse_rate(text)
    assert rate is not None
    return Buckets(rate, most)


class BucketTests(SynchronousTestCase):
    """What one bucket lets through."""

    def take(self, buckets: Buckets[str], times: int, now: float) -> int:
        """How often something could be taken out, of so many times."""
        taken = 0
        for _ in range(times):
            taken += not buckets.take("a", now)
        return taken

    def test_at_once(self) -> None:
        """As much as the rate says may come at once, and not one more."""
        for text, amount in (("300/min", 300), ("1/s", 1), ("7/d", 7)):
            self.assertEqual(self.take(make_buckets(text), 1000, _NOW), amount)

    def test_refills_evenly(self) -> None:
        """In each part of the time there is as large a part again."""
        buckets = make_buckets("300/min")
        self.take(buckets, 300, _NOW)
        self.assertEqual(self.take(buckets, 1000, _NOW + 1), 5)
        self.assertEqual(self.take(buckets, 1000, _NOW + 31), 150)
        self.assertEqual(self.take(buckets, 1000, _NOW + 1000), 300)

    def test_wait_is_exact(self) -> None:
        """Whoever waits as long as told can take, and not much earlier."""
        buckets = make_buckets("10/min")
        self.take(buckets, 10, _NOW)
        wait = buckets.take("a", _NOW)
        self.assertAlmostEqual(wait, 6.0, 3)
        self.assertGreater(buckets.take("a", _NOW + wait - 0.01), 0)
        self.assertEqual(buckets.take("a", _NOW + wait + 1e-6), 0)

    def test_keys(self) -> None:
        """Each key has a bucket of its own."""
        buckets = make_buckets("1/s")
        buckets.take("a", _NOW)
        self.assertGreater(buckets.take("a", _NOW), 0)
        self.assertEqual(buckets.take("b", _NOW), 0)

    def test_more_than_there_is(self) -> None:
        """Something large passes if anything is left, and is paid for afterwards."""
        buckets = make_buckets("1000/s")
        self.assertEqual(buckets.take("a", _NOW), 0)
        buckets.take("a", _NOW, 3000)
        self.assertAlmostEqual(buckets.take("a", _NOW), 2.001, 2)
        self.assertEqual(buckets.take("a", _NOW + 2.01), 0)

    def test_much_more_than_there_is(self) -> None:
        """However much passes at once, all of it is paid for."""
        buckets = make_buckets("1000/s")
        buckets.take("a", _NOW, 500_000)
        for later in (0.1, 1, 100, 498):
            wait = buckets.take("a", _NOW + later)
            self.assertAlmostEqual(wait, 499.001 - later, 2)
        self.assertEqual(buckets.take("a", _NOW + 499.01), 0)
        both = make_buckets("1000/s"), "a", 500_000, None, "", 0
        self.assertIsNone(take_both(*both, _NOW))
        for later in (0.1, 1, 100, 498):
            self.assertIsNotNone(take_both(*both, _NOW + later))

    def test_elsewhere(self) -> None:
        """What was taken in other processes is missing here."""
        buckets = make_buckets("300/min")
        buckets.take_elsewhere("a", _NOW, 300)
        self.assertGreater(buckets.take("a", _NOW), 0)
        self.assertEqual(buckets.take("a", _NOW + 1), 0)

    def test_elsewhere_is_bounded(self) -> None:
        """Whatever others tell, nobody is shut out for long."""
        buckets = make_buckets("300/min")
        for _ in range(100):
            buckets.take_elsewhere("a", _NOW, 10**9)
        self.assertLessEqual(buckets.take("a", _NOW), 60 * MOST_DEBT)

    @given(
        st.integers(1, 50),
        st.lists(st.floats(0, 5, allow_nan=False), max_size=200),
    )
    def test_never_more(self, amount: int, pauses: list[float]) -> None:
        """Never more passes than a full bucket and what flows in meanwhile."""
        buckets = make_buckets(f"{amount}/s")
        now, taken = _NOW, 0
        for pause in pauses:
            now += pause
            taken += self.take(buckets, 3, now)
        self.assertLessEqual(taken, amount + amount * (now - _NOW) + 0.001)


class MemoryTests(SynchronousTestCase):
    """What is kept of buckets."""

    def test_full_are_forgotten(self) -> None:
        """Buckets that are full again take no memory for long."""
        buckets = make_buckets("1/s", most=10_000)
        for number in range(100_000):
            buckets.take(str(number), _NOW + number / 100)
        self.assertLess(buckets.remembered, 2100)

    def test_bounded(self) -> None:
        """However many there are at once, so many are kept at most."""
        buckets = make_buckets("1/d", most=10_000)
        for number in range(100_000):
            buckets.take(str(number), _NOW + number / 5000)
            self.assertLessEqual(buckets.remembered, 30_000)
        self.assertGreater(buckets.remembered, 0)

    def test_emptiest_are_kept(self) -> None:
        """Fresh keys do not make the relay forget who has used up a rate."""
        buckets = make_buckets("10/d", most=10_000)
        for _ in range(10):
            buckets.take("greedy", _NOW)
        for number in range(100_000):
            buckets.take(str(number), _NOW + number / 1000)
        self.assertGreater(buckets.take("greedy", _NOW + 100), 0)

    def test_refused_while_forgetting(self) -> None:
        """Who is refused while others are forgotten is refused afterwards, too."""
        buckets = make_buckets("10/d", most=10_000)
        for _ in range(10):
            buckets.take("greedy", _NOW)
        for number in range(100_000):
            buckets.take(str(number), _NOW)
            if number % 3 == 0:
                self.assertGreater(buckets.take("greedy", _NOW), 0, number)
                refused = take_both(None, "", 1, buckets, "greedy", 1, _NOW)
                self.assertIsNotNone(refused, number)


class TellingTests(SynchronousTestCase):
    """What other processes are to be told."""

    def test_nothing_unless_asked(self) -> None:
        """A process that is alone notes nothing down."""
        buckets = make_buckets("10/s")
        buckets.take("a", _NOW)
        self.assertEqual(buckets.to_tell(10), {})

    def test_amounts(self) -> None:
        """What was taken is told once."""
        buckets = make_buckets("10/s")
        buckets.is_told = True
        for key in ("a", "b", "a"):
            buckets.take(key, _NOW)
        self.assertEqual(buckets.to_tell(10), {"a": 2, "b": 1})
        buckets.told({"a": 2})
        self.assertEqual(buckets.to_tell(10), {"b": 1})

    def test_some_at_a_time(self) -> None:
        """What does not fit into one message is told with the next."""
        buckets = make_buckets("10/s")
        buckets.is_told = True
        for number in range(10):
            buckets.take(str(number), _NOW)
        first = buckets.to_tell(6)
        buckets.told(first)
        rest = buckets.to_tell(6)
        self.assertEqual((len(first), len(rest)), (6, 4))
        self.assertFalse(set(first) & set(rest))

    def test_bounded(self) -> None:
        """However much there is to tell, no more is kept than can soon be told."""
        buckets = make_buckets("10/s")
        buckets.is_told = True
        for number in range(2 * MOST_DUE):
            buckets.take(str(number), _NOW)
        self.assertEqual(len(buckets.to_tell(10**9)), MOST_DUE)

    def test_little_is_not_worth_it(self) -> None:
        """What is little against the rate waits until it is more."""
        buckets = make_buckets("6400/min")
        buckets.is_told = True
        for _ in range(99):
            buckets.take("a", _NOW)
        self.assertEqual(buckets.to_tell(10), {})
        buckets.take("a", _NOW)
        self.assertEqual(buckets.to_tell(10), {"a": 100})

    def test_heard_is_not_told(self) -> None:
        """What others have told is not told back to them."""
        buckets = make_buckets("10/s")
        buckets.is_told = True
        buckets.take_elsewhere("a", _NOW, 5)
        self.assertEqual(buckets.to_tell(10), {})

    def test_alone_again(self) -> None:
        """What was to be told is dropped when nobody is there any more."""
        buckets = make_buckets("10/s")
        buckets.is_told = True
        buckets.take("a", _NOW)
        buckets.tell_nobody()
        buckets.is_told = True
        self.assertEqual(buckets.to_tell(10), {})

    def test_untold_is_forgotten(self) -> None:
        """Little that was taken long ago takes no memory."""
        buckets = make_buckets("6400/min", most=1000)
        buckets.is_told = True
        for number in range(10_000):
            buckets.take(str(number), _NOW + number)
        buckets.take("0", _NOW + 20_000, 99)
        self.assertEqual(buckets.to_tell(10), {})
