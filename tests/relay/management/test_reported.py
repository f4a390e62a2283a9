"""Tests for :mod:`nostrtx.relay.management.reported`, in a whole relay."""

from __future__ import annotations

import attrs

from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.event import Event
from nostrtx.relay.management.reported import (
    MOST_LISTED,
    MOST_REPORTS,
    MOST_TRUSTED,
)
from nostrtx.settings.policies import TrustSettings
from tests.relay.management.management_case import (
    MODERATOR,
    OWNER,
    STRANGER,
    ManagementCase,
)
from tests.storage.events import NOW, make_event, public_key, signed_event

_ALICE, _ROOT, _FRIEND = 11, 21, 22

_METHOD = "listeventsneedingmoderation"


def key(number: int) -> bytes:
    """The key of somebody of whom there are many."""
    return number.to_bytes(32, "big")


def report(
    reporter: bytes,
    event: Event | None = None,
    kind_of: str = "spam",
    text: str = "",
    at: int = NOW,
    person: bytes | None = None,
) -> Event:
    """A report of an event, or of a person alone."""
    person = person or (event.pubkey if event else public_key(_ALICE))
    tags = [["p", person.hex(), *([] if event else [kind_of])]]
    if event is not None:
        tags.append(["e", event.id.hex(), kind_of])
    return make_event(
        pubkey=reporter, kind=1984, tags=tags, content=text, created_at=at
    )


class ReportedTests(ManagementCase):
    """What a moderator is told to look at."""

    def setUp(self) -> None:
        """Some notes are there that might be reported."""
        super().setUp()
        self.notes = [signed_event(_ALICE, content=str(n)) for n in range(4)]
        self.under_test.stored(*self.notes)

    def listed(self) -> list[tuple[str, str]]:
        """The ids that are told, each with the reason."""
        listed = self.result(_METHOD, by=MODERATOR)
        return [(one["id"], one["reason"]) for one in listed]

    def ids(self) -> list[str]:
        """The ids that are told."""
        return [id_ for id_, _ in self.listed()]

    def test_nothing(self) -> None:
        """Where nothing was reported there is nothing to do."""
        self.assertEqual(self.listed(), [])

    def test_most_reported_first(self) -> None:
        """What most people have reported comes first, however often each did."""
        one, two, three, _ = self.notes
        self.under_test.stored(
            *[report(key(5), one, text=str(n)) for n in range(9)],
            *[report(key(n), two) for n in range(3)],
            *[report(key(n), three) for n in range(2)],
        )
        self.assertEqual(self.ids(), [note.id.hex() for note in (two, three, one)])

    def test_newest_first(self) -> None:
        """Of two that as many have reported, the one reported last comes first."""
        one, two, three, _ = self.notes
        self.under_test.stored(
            report(key(1), one, at=NOW - 9),
            report(key(1), two, at=NOW - 1),
            report(key(1), three, at=NOW - 5),
        )
        self.assertEqual(self.ids(), [note.id.hex() for note in (two, three, one)])

    def test_reason(self) -> None:
        """It is told how many have called it what, and what the last one wrote."""
        note = self.notes[0]
        self.under_test.stored(
            report(key(1), note, "spam", "first", NOW - 3),
            report(key(2), note, "spam", "buy\n<b>now</b>\u202e" + "x" * 999, NOW - 2),
            report(key(3), note, "illegal", "", NOW - 1),
            report(key(4), note, "rude"),
        )
        ((_, reason),) = self.listed()
        said = "illegal 1, spam 2, other 1; reported by 4: buy <b>now</b>"
        self.assertEqual(reason[: len(said)], said)
        self.assertNotIn("\n", reason)
        self.assertLess(len(reason), 200)

    def test_trusted_first(self) -> None:
        """What those in charge and trusted people report comes before all else."""
        one, two, three, four = self.notes
        trust = TrustSettings(roots=(public_key(_ROOT).hex(),), depth=1)
        follows = [["p", public_key(_FRIEND).hex()]]
        self.under_test.stored(
            signed_event(_ROOT, kind=3, tags=follows),
            *[report(key(n), one, text="me too") for n in range(5)],
            report(public_key(_FRIEND), two, "nudity", "not here", NOW - 9),
            report(key(1), two, "spam", "louder", NOW - 1),
            report(public_key(OWNER), three, at=NOW - 5),
            report(public_key(_ROOT), three, at=NOW - 5),
            report(public_key(MODERATOR), four, at=NOW - 5),
        )
        settings = self.under_test.settings
        settings.change(attrs.evolve(settings.now, trust=trust))
        listed = self.listed()
        self.assertEqual(
            [id_ for id_, _ in listed],
            [note.id.hex() for note in (three, two, four, one)],
        )
        self.assertEqual(
            listed[1][1],
            "spam 1, nudity 1; reported by 2, 1 of them trusted: not here",
        )
        self.assertEqual(listed[3][1], "spam 5; reported by 5: me too")

    def test_flood(self) -> None:
        """However many others report, what trusted people have is told, and first."""
        one, two, *_ = self.notes
        self.under_test.stored(
            report(public_key(OWNER), one, at=NOW - 9999),
            *[report(key(n), two, at=NOW) for n in range(MOST_REPORTS + 1)],
        )
        listed = self.listed()
        self.assertEqual([id_ for id_, _ in listed], [one.id.hex(), two.id.hex()])
        self.assertEqual(listed[1][1], f"spam {MOST_REPORTS}; reported by 2000")

    def test_many(self) -> None:
        """The list has an end, and what is not on it comes up as others go."""
        notes = [
            make_event(pubkey=key(9), content=str(n)) for n in range(MOST_LISTED + 50)
        ]
        self.under_test.stored(*notes, *[report(key(1), note) for note in notes])
        listed = self.ids()
        self.assertEqual(len(listed), MOST_LISTED)
        self.assertLess(MOST_LISTED, MOST_TRUSTED)
        for id_ in listed[:60]:
            self.result("allowevent", id_)
        after = self.ids()
        self.assertEqual(len(after), MOST_LISTED - 10)
        self.assertFalse(set(after) & set(listed[:60]))

    def test_not_here(self) -> None:
        """What is not stored here is nobody's business here."""
        elsewhere = make_event(pubkey=key(9), content="elsewhere")
        past = make_event(pubkey=key(9), tags=[["expiration", str(NOW - 1)]])
        self.under_test.stored(past, report(key(1), elsewhere), report(key(1), past))
        self.assertEqual(self.listed(), [])

    def test_decided(self) -> None:
        """What was banned or allowed, or is of somebody banned, is decided."""
        note = self.notes[0]
        self.under_test.stored(report(key(1), note))
        self.assertEqual(self.ids(), [note.id.hex()])
        self.assertIs(self.result("allowevent", note.id.hex(), "fine"), True)
        self.assertEqual(self.listed(), [])
        self.under_test.stored(report(key(2), note))
        self.assertEqual(self.listed(), [])
        other = self.notes[1]
        self.under_test.stored(report(key(2), other))
        self.assertEqual(self.ids(), [other.id.hex()])
        self.result("banpubkey", other.pubkey.hex())
        self.assertEqual(self.listed(), [])
        self.result("unbanpubkey", other.pubkey.hex())
        self.result("banevent", other.id.hex())
        self.assertEqual(self.listed(), [])

    def test_banned_after_all(self) -> None:
        """An event that was allowed can be banned, and then is allowed no longer."""
        note = self.notes[0]
        self.under_test.stored(report(key(1), note))
        self.result("allowevent", note.id.hex())
        self.result("banevent", note.id.hex())
        self.assertEqual(self.result("listbannedevents"), [{"id": note.id.hex()}])
        self.result("unbanevent", note.id.hex())
        self.under_test.publish(note)
        self.assertEqual(self.ids(), [note.id.hex()])

    def test_banned_reporter(self) -> None:
        """Reports of somebody who is banned do not count."""
        self.under_test.stored(report(key(1), self.notes[0]))
        self.result("banpubkey", key(1).hex())
        self.assertEqual(self.listed(), [])

    def test_person(self) -> None:
        """For a person who was reported stands that one's profile, if it is here."""
        profile = make_event(pubkey=key(7), kind=0, content="{}")
        self.under_test.stored(
            profile,
            report(key(1), kind_of="impersonation", person=key(7)),
            report(key(2), kind_of="spam", person=key(7)),
            report(key(1), person=key(8)),
        )
        reason = "the author: impersonation 1, spam 1; reported by 2"
        self.assertEqual(self.listed(), [(profile.id.hex(), reason)])
        self.result("allowevent", profile.id.hex())
        self.assertEqual(self.listed(), [])

    def test_store_fails(self) -> None:
        """While the store fails, that is what a moderator is told."""

        def fail(*_: object) -> None:
            raise StoreError("the disk is full")

        self.patch(self.under_test.store, "query", fail)
        self.assertEqual(self.error(_METHOD), "error: the disk is full")

    def test_stranger(self) -> None:
        """Nobody else is told what others have reported."""
        self.under_test.stored(report(key(1), self.notes[0]))
        status, _ = self.signed(b'{"method":"%b"}' % _METHOD.encode(), STRANGER)
        self.assertEqual(status, 403)
