"""A relay with groups, and people who use them: for tests of NIP-29."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nostrtx.interfaces.queries import Page
from nostrtx.nostr.event import Event, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.settings.access import GroupSettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RelayUnderTest
from tests.relay.visitor import Visitor, VisitorTestCase
from tests.storage.events import public_key, signed_event

#: The secrets of those who meet in the groups. The relay's own is 1 in tests.
ADMIN, BOB, CAROL, EVE = 11, 12, 13, 14

#: The group that most tests are about.
PIZZA = "pizza"


def hex_of(secret: int) -> str:
    """The public key of ``secret``, as tags and filters have it."""
    return public_key(secret).hex()


class GroupCase(VisitorTestCase):
    """A test about groups, on a relay that has them."""

    groups = GroupSettings(enabled=True)

    def setUp(self) -> None:
        """Start the relay, with one client that did not authenticate."""
        self.settings = Settings(groups=self.groups, store=StoreSettings("memory:"))
        super().setUp()
        self.begin(self.under_test)

    def begin(self, under_test: RelayUnderTest) -> None:
        """Start a relay, without processes."""
        under_test.relay.start(None, 0)
        self.own = under_test.relay.own_key.public

    def restart(self) -> None:
        """Another relay with the same store and the same key."""
        before = self.under_test
        self.under_test = RelayUnderTest(self.settings)
        self.under_test.clock.rightNow = before.clock.rightNow
        self.under_test.store.inner = before.store.inner
        self.begin(self.under_test)
        self.visitor = Visitor(self.under_test)

    def event(
        self,
        secret: int,
        kind: int,
        *tags: Sequence[str],
        group: str = PIZZA,
        content: str = "",
        age: int = 0,
    ) -> Event:
        """An event for a group, made now or ``age`` seconds ago."""
        return signed_event(
            secret,
            kind=kind,
            tags=[["h", group], *tags],
            content=content,
            created_at=int(self.under_test.clock.seconds()) - age,
        )

    def do(self, secret: int, kind: int, *tags: Sequence[str], **more: Any) -> Event:
        """Publish an event for a group, which must be taken; time goes on."""
        event = self.event(secret, kind, *tags, **more)
        answers = [a for a in self.stranger().publish(event) if a[0] == "OK"]
        self.assertEqual(answers, [["OK", event.id.hex(), True, ""]])
        self.under_test.clock.advance(1)
        return event

    def refuse(
        self, prefix: str, secret: int, kind: int, *tags: Sequence[str], **more: Any
    ) -> str:
        """Publish an event for a group, which must be refused; the reason."""
        event = self.event(secret, kind, *tags, **more)
        return self.refuse_event(prefix, event)

    def refuse_event(self, prefix: str, event: Event) -> str:
        """Publish an event, which must be refused; the reason."""
        answer = [a for a in self.stranger().publish(event) if a[0] == "OK"]
        self.assert_refused(answer, event, prefix)
        self.assertFalse(self.under_test.store.holds(event))
        reason: str = answer[0][3]
        return reason

    def create(self, *flags: Sequence[str], group: str = PIZZA) -> None:
        """Have a group of the admin, with Bob as a member."""
        self.do(ADMIN, 9007, group=group)
        self.do(ADMIN, 9000, ["p", hex_of(BOB)], group=group)
        if flags:
            self.do(ADMIN, 9002, ["name", "Pizza"], *flags, group=group)

    def stored(self, filter_: Filter | None = None) -> list[Event]:
        """What the store holds, newest first."""
        query = self.under_test.store.inner.query([filter_ or Filter()], 0)
        page = query.next_page(2**40, 2.0**62)
        assert isinstance(page, Page)
        return [stored_event(raw) for raw in page.events]

    def told(self, kind: int, group: str = PIZZA) -> list[list[str]] | None:
        """The tags of what the relay tells of a group; None if it does not."""
        own = bytes.fromhex(self.own)
        found = self.stored(
            Filter(kinds=(kind,), authors=(own,), tags=(("d", (group,)),))
        )
        self.assertLess(len(found), 2)
        return [list(tag) for tag in found[0].tags] if found else None

    def members(self, group: str = PIZZA) -> set[str]:
        """Who is a member, as the relay tells."""
        return {tag[1] for tag in self.told(39002, group) or () if tag[0] == "p"}

    def ids(self, visitor: Visitor, *filters: object) -> set[str]:
        """The ids of the stored events that a client gets."""
        answer = visitor.ask(*filters, id_="ids")
        self.assertEqual(answer[-1][:2], ["EOSE", "ids"])
        visitor.say(json.dumps(["CLOSE", "ids"]).encode())
        return {one[2]["id"] for one in answer if one[0] == "EVENT"}

    def sees(self, visitor: Visitor, event: Event) -> bool:
        """Whether a client gets an event by asking for its id."""
        return event.id.hex() in self.ids(visitor, {"ids": [event.id.hex()]})
