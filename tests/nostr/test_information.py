"""Tests for :mod:`nostrtx.nostr.information`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.information import SUPPORTED_NIPS, limitation, relay_information


def limits(**changes: int) -> dict[str, int | bool]:
    """A limitation with some values."""
    values: dict[str, Any] = {
        "max_message_bytes": 512_000,
        "max_subscriptions": 20,
        "max_limit": 500,
        "default_limit": 100,
        "max_event_tags": 2000,
        "max_content_length": 9000,
        "created_at_lower_seconds": 0,
        "created_at_upper_seconds": 900,
    }
    return limitation(**{**values, **changes})


class LimitationTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.information.limitation`."""

    def test_types(self) -> None:
        """Numbers are numbers and booleans are booleans."""
        for name, value in limits().items():
            kind = bool if name.endswith(("required", "writes")) else int
            self.assertIs(type(value), kind, name)

    def test_any_age(self) -> None:
        """A relay that takes events of any age states no lower limit."""
        self.assertNotIn("created_at_lower_limit", limits())
        self.assertEqual(
            limits(created_at_lower_seconds=5)["created_at_lower_limit"], 5
        )

    def test_zero_is_a_limit(self) -> None:
        """An upper limit of 0 is stated: nothing may lie in the future."""
        self.assertEqual(
            limits(created_at_upper_seconds=0)["created_at_upper_limit"], 0
        )

    def test_restricted_writes(self) -> None:
        """A condition on publishing is stated."""
        self.assertIs(limits(restricted_writes=True)["restricted_writes"], True)

    def test_conditions(self) -> None:
        """By default a relay serves anyone; where it does not, that is stated."""
        for conditions in (
            {},
            {
                "min_pow_difficulty": 20,
                "auth_required": True,
                "restricted_writes": True,
            },
        ):
            stated = limits(**conditions)
            for name in ("min_pow_difficulty", "auth_required", "restricted_writes"):
                self.assertEqual(stated[name], conditions.get(name, 0), name)

    def test_default_is_within(self) -> None:
        """The default limit that is announced is the one that takes effect."""
        self.assertEqual(limits(max_limit=50)["default_limit"], 50)


class RelayInformationTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.information.relay_information`."""

    def document(self, **said: str) -> dict[str, Any]:
        """A document in which this is said."""
        return relay_information(
            version="1.0", supported_nips=(40, 1, 9, 1), limitation=limits(), **said
        )

    def test_unsaid(self) -> None:
        """What is not said is left out, and neither null nor empty."""
        self.assertEqual(
            set(self.document()),
            {"software", "version", "supported_nips", "limitation"},
        )

    def test_said(self) -> None:
        """What is said stands there as it is."""
        document = self.document(name="n", pubkey="ab" * 32, own_pubkey="cd" * 32)
        self.assertEqual((document["name"], document["pubkey"]), ("n", "ab" * 32))
        self.assertEqual(document["self"], "cd" * 32)

    def test_nips(self) -> None:
        """NIPs are numbers, in order, each once."""
        self.assertEqual(self.document()["supported_nips"], [1, 9, 40])
        for nip in SUPPORTED_NIPS:
            self.assertIs(type(nip), int)

    def test_not_claimed(self) -> None:
        """What depends on settings is not claimed for every relay."""
        self.assertTrue({4, 13, 17, 43, 50, 59, 77}.isdisjoint(SUPPORTED_NIPS))
