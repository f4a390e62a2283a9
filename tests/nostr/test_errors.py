"""Tests for :mod:`nostrtx.nostr.errors`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected, invalid


class RejectedTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.nostr.errors.Rejected`."""

    def test_reason(self) -> None:
        """The answer is the prefix, a colon, a blank and the message."""
        error = Rejected(ReasonPrefix.RATE_LIMITED, "slow down")
        self.assertEqual(error.reason, "rate-limited: slow down")
        self.assertEqual(str(error), error.reason)
        self.assertEqual((error.prefix, error.message), ("rate-limited", "slow down"))

    def test_prefixes(self) -> None:
        """The prefixes are the words of the NIPs."""
        self.assertEqual(
            [str(prefix) for prefix in ReasonPrefix],
            [
                "duplicate",
                "pow",
                "blocked",
                "rate-limited",
                "invalid",
                "restricted",
                "auth-required",
                "mute",
                "error",
                "unsupported",
                "closed",
            ],
        )

    def test_invalid(self) -> None:
        """:func:`invalid` makes the most frequent refusal."""
        self.assertEqual(invalid("no id").reason, "invalid: no id")
