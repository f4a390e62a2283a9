"""Tests for :mod:`nostrtx.relay.policies.rule_book`, in a whole relay."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IRequestPolicy,
)
from nostrtx.nostr.event import Event
from nostrtx.settings.file import parse_settings
from tests.relay.fakes import RelayUnderTest, accepted
from tests.relay.policies.test_list_files import at_once
from tests.relay.visitor import VisitorTestCase
from tests.storage.events import NOW, public_key, signed_event

_OWNER, _FRIEND, _STRANGER = 1, 2, 3


def note(secret: int, content: str = "hello", at: int = NOW) -> Event:
    """A note of somebody."""
    return signed_event(secret, content=content, created_at=at)


def follows(secret: int, *whom: int, at: int = NOW) -> Event:
    """Somebody's follow list."""
    tags = [["p", public_key(one).hex()] for one in whom]
    return signed_event(secret, kind=3, tags=tags, created_at=at)


class RuleBookTestCase(VisitorTestCase):
    """A relay with a table, and clients of it."""

    text = ""

    def setUp(self) -> None:
        """Start the relay with the settings."""
        self.settings = parse_settings(
            self.text.replace("OWNER", public_key(_OWNER).hex())
        )
        super().setUp()
        self.book = self.under_test.relay.rule_book
        self.book.start(at_once)
        self.addCleanup(self.book.stop)

    def apply(self, text: str) -> None:
        """Let another table hold."""
        text = text.replace("OWNER", public_key(_OWNER).hex())
        settings = parse_settings(text)
        self.book.apply(attrs.evolve(settings, limits=self.settings.limits))

    def assert_taken(self, event: Event) -> None:
        """Assert that an event is taken."""
        self.assertEqual(self.visitor.publish(event), [accepted(event)])

    def assert_not_taken(self, event: Event, reason: str) -> None:
        """Assert that an event is refused for this reason."""
        self.assertEqual(
            self.visitor.publish(event), [["OK", event.id.hex(), False, reason]]
        )


class TableTests(RuleBookTestCase):
    """The table in a relay."""

    text = """
    [lists.friends]
    nostr = ["OWNER"]
    [[rules]]
    authors = ["friends", "OWNER"]
    verdict = "accept"
    [[rules]]
    words = ["casino"]
    reason = "spam"
    [[rules]]
    name = "known-only"
    authenticated = false
    kinds = [7]
    [[rules]]
    on = "request"
    kinds = [1984]
    reason = "restricted: not here"
    [[rules]]
    addresses = ["203.0.113.0/24"]
    """

    def test_interfaces(self) -> None:
        """It is a policy for events, requests and connections."""
        for interface in (IEventCheck, IRequestPolicy, IConnectionPolicy):
            verifyObject(interface, self.book)

    def test_followed_newly(self) -> None:
        """Whom the operator follows newly is a friend from the next event on."""
        spam = note(_FRIEND, "casino")
        self.assert_not_taken(spam, "blocked: spam")
        self.assert_taken(follows(_OWNER, _FRIEND))
        self.assert_taken(spam)
        self.assert_not_taken(note(_STRANGER, "casino"), "blocked: spam")
        self.assert_taken(follows(_OWNER, at=NOW + 1))
        self.assert_not_taken(note(_FRIEND, "casino!"), "blocked: spam")

    def test_counted(self) -> None:
        """How often a rule has held is among the figures of the relay."""
        self.assert_not_taken(note(_STRANGER, "casino"), "blocked: spam")
        facts = self.under_test.relay.statistics.facts()
        self.assertEqual(facts["policy_verdicts:rules:check:rule-1:yes:refused"], 1)

    def test_challenge(self) -> None:
        """Who must say first who it is gets a challenge to answer, once."""
        like = signed_event(_STRANGER, kind=7)
        challenge, answer = self.visitor.publish(like)
        self.assertEqual(challenge[0], "AUTH")
        self.assertEqual(answer[2:], [False, "auth-required: who is this?"])
        self.visitor.authenticate(_STRANGER)
        self.assert_taken(like)

    def test_requests(self) -> None:
        """What may not be asked for is closed, whatever the verb."""
        for message in (
            b'["REQ","s",{"kinds":[1984]}]',
            b'["COUNT","s",{"kinds":[1984]}]',
        ):
            answers: list[Any] = self.visitor.say(message)
            self.assertIn(["CLOSED", "s", "restricted: not here"], answers)
        self.assertEqual(self.visitor.ask({"kinds": [1]}), [["EOSE", "s"]])

    def test_connections(self) -> None:
        """Who could publish for being a friend may connect; this rule stands later."""
        self.assertIsNone(self.under_test.relay.arrival("203.0.113.1"))
        self.apply("[[rules]]\naddresses = ['203.0.113.0/24']")
        refusal = self.under_test.relay.arrival("203.0.113.1")
        self.assertEqual(refusal, (403, "blocked: not taken here", 0))


class AskToReadTests(RuleBookTestCase):
    """A table in which only those who have authenticated may read."""

    text = "[[rules]]\non = 'request'\nauthenticated = false\nreason = 'sign in'"

    def test_challenge(self) -> None:
        """Who asks gets a challenge, and an answer after that."""
        challenge, answer = self.visitor.ask({"kinds": [1]})
        self.assertEqual(challenge[0], "AUTH")
        self.assertEqual(answer, ["CLOSED", "s", "auth-required: sign in"])
        self.visitor.challenge = challenge[1]
        self.visitor.authenticate(_FRIEND)
        self.assertEqual(self.visitor.ask({"kinds": [1]}), [["EOSE", "s"]])


class TrustTests(RuleBookTestCase):
    """Trust in a relay."""

    text = """
    [trust]
    roots = ["OWNER"]
    [[rules]]
    trust = 1
    verdict = "accept"
    [[rules]]
    reason = "restricted: strangers"
    """

    def test_followed(self) -> None:
        """Whom the roots follow may publish, from the next event on."""
        self.assert_not_taken(note(_FRIEND), "restricted: strangers")
        self.assert_taken(follows(_OWNER, _FRIEND))
        self.assert_taken(note(_FRIEND))
        self.assert_not_taken(note(_STRANGER), "restricted: strangers")

    def test_other_roots(self) -> None:
        """Other roots count as soon as they are set."""
        self.apply(self.text.replace("OWNER", public_key(_STRANGER).hex()))
        self.assert_taken(note(_STRANGER))
        self.assert_not_taken(note(_OWNER), "restricted: strangers")


class ReplacementTests(RuleBookTestCase):
    """Another table in the place of one."""

    def test_from_none(self) -> None:
        """Rules may come, change and go while the relay runs."""
        self.assert_taken(note(_STRANGER))
        self.apply("[[rules]]\nkinds = [1]")
        self.assert_not_taken(note(_STRANGER, "2"), "blocked: not taken here")
        self.apply("[[rules]]\nkinds = [2]")
        self.assert_taken(note(_STRANGER, "3"))
        self.apply("")
        self.assert_taken(signed_event(_STRANGER, kind=2))

    def test_lists(self) -> None:
        """Lists come and go with the rules that name them."""
        path = Path(self.mktemp())
        path.write_text("casino\n")
        self.apply(
            f"[lists.spam]\nfiles = ['{path}']\nof = 'words'\n"
            "[[rules]]\nwords = ['spam']"
        )
        self.assert_not_taken(note(_STRANGER, "casino"), "blocked: not taken here")
        self.apply("[lists.spam]\nwords = ['poker']\n[[rules]]\nwords = ['spam']")
        self.assert_taken(note(_STRANGER, "casino"))
        self.assert_not_taken(note(_STRANGER, "poker"), "blocked: not taken here")

    def test_slow_store(self) -> None:
        """Until the lists of the new table are read, the one before holds."""
        self.apply("[[rules]]\nkinds = [1]")
        self.under_test.store.hold_pages = True
        self.apply("[lists.a]\nnostr = ['OWNER']\n[[rules]]\nkinds = [2]")
        self.assert_not_taken(note(_STRANGER), "blocked: not taken here")
        self.under_test.store.queries[-1].answer()
        self.assert_taken(note(_STRANGER))
        self.assert_not_taken(
            signed_event(_STRANGER, kind=2), "blocked: not taken here"
        )

    def test_not_ready(self) -> None:
        """A relay that does not know its lists yet is not ready to serve."""
        self.book.stop()
        text = f"[lists.a]\nnostr = ['{public_key(_OWNER).hex()}']"
        under_test = RelayUnderTest(parse_settings(text))
        under_test.store.hold_pages = True
        book = under_test.relay.rule_book
        book.start(at_once)
        self.addCleanup(book.stop)
        self.assertIn("lists", under_test.relay.faults())
        under_test.store.queries[-1].answer()
        self.assertNotIn("lists", under_test.relay.faults())

    def test_two_at_once(self) -> None:
        """Of two tables that follow each other quickly, the later one holds."""
        self.under_test.store.hold_pages = True
        self.apply("[lists.a]\nnostr = ['OWNER']\n[[rules]]\nkinds = [1]")
        self.apply("[lists.b]\nnostr = ['OWNER']\n[[rules]]\nkinds = [2]")
        self.under_test.store.hold_pages = False
        for query in self.under_test.store.queries:
            if not query.closed:
                query.answer()
        self.assert_taken(note(_STRANGER))
        self.assert_not_taken(
            signed_event(_STRANGER, kind=2), "blocked: not taken here"
        )

    def test_taken_back(self) -> None:
        """Roots that were taken back before their table held are nobody's."""
        table = "[[rules]]\ntrust = 0\nverdict = 'accept'\n[[rules]]\n"
        old = table + "[trust]\nroots = ['OWNER']\n"
        new = table + f"[trust]\nroots = ['{public_key(_STRANGER).hex()}']\n"
        self.apply(old)
        self.under_test.store.hold_pages = True
        self.apply(new + "[lists.a]\nnostr = ['OWNER']\n")
        self.assert_taken(note(_OWNER))
        self.assert_not_taken(note(_STRANGER), "blocked: not taken here")
        self.apply(old)
        self.assert_taken(note(_OWNER, "still"))
        self.assert_not_taken(note(_STRANGER, "still"), "blocked: not taken here")

    def test_same_again(self) -> None:
        """However often settings come again, lists are followed once."""
        text = "[lists.a]\nnostr = ['OWNER']\n[[rules]]\nauthors = ['a']\n"
        for kind in range(10):
            self.apply(text + f"kinds = [1, {kind}]\n")
        asked = len(self.under_test.store.queries)
        self.assert_taken(follows(_OWNER, _FRIEND))
        self.assert_not_taken(note(_FRIEND), "blocked: not taken here")
        self.apply("")
        self.assert_taken(note(_FRIEND))
        self.assertEqual(len(self.under_test.store.queries), asked)


class ThreadTests(VisitorTestCase):
    """What takes a while is done in a thread, and everything goes on meanwhile."""

    def setUp(self) -> None:
        """A relay with a file of many words, in which it was not looked yet."""
        self.path = Path(self.mktemp())
        self.say_words("old", at=1)
        self.settings = parse_settings(
            f"[lists.spam]\nfiles = ['{self.path}']\nof = 'words'\n"
            "refresh_seconds = 5\n[[rules]]\nwords = ['spam']\n"
        )
        super().setUp()
        self.book = self.under_test.relay.rule_book
        self.waiting: list[Deferred[object]] = []
        self.book.start(self.in_thread)
        self.addCleanup(self.book.stop)

    def say_words(self, *words: str, at: int) -> None:
        """Have these in the file, among many others, as of another time."""
        many = [f"other{number}" for number in range(1000)]
        self.path.write_text("\n".join([*words, *many]))
        os.utime(self.path, (at, at))

    def in_thread(
        self, call: Callable[..., object], *arguments: Any
    ) -> Deferred[object]:
        """Run something later."""
        waiting: Deferred[object] = Deferred()
        self.waiting.append(waiting)
        return waiting.addCallback(lambda _: call(*arguments))

    def work(self) -> None:
        """Run what is to be run now, and nothing that comes of it."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    def is_taken(self, content: str) -> bool:
        """Whether a note is taken."""
        [answer] = self.visitor.publish(note(_STRANGER, content))
        return bool(answer[2])

    def finish(self) -> None:
        """Run all that is to be run."""
        while self.waiting:
            self.work()

    def test_start(self) -> None:
        """At the start, lists are known once they are read and prepared."""
        for _ in range(3):
            self.assertFalse(self.book.loaded.is_past)
            self.work()
        self.assertTrue(self.book.loaded.is_past)
        self.assertFalse(self.is_taken("old"))

    def test_change(self) -> None:
        """Until many words are prepared, those before are looked for."""
        self.finish()
        self.say_words("new", at=2)
        self.under_test.clock.advance(5)
        self.work()
        self.work()
        self.assertTrue(self.is_taken("new"))
        self.assertFalse(self.is_taken("old"))
        self.assertEqual(len(self.waiting), 1)
        self.finish()
        self.assertFalse(self.is_taken("new"))
        self.assertTrue(self.is_taken("old 2"))

    def test_change_meanwhile(self) -> None:
        """Words that change while others are prepared come next."""
        self.finish()
        self.say_words("new", at=2)
        self.under_test.clock.advance(5)
        self.work()
        self.work()
        self.assertTrue(self.is_taken("new"))
        [preparing] = self.waiting
        self.waiting = []
        self.say_words("newest", at=3)
        self.under_test.clock.advance(5)
        self.work()
        self.work()
        self.assertTrue(self.is_taken("newest"))
        preparing.callback(None)
        self.finish()
        self.assertFalse(self.is_taken("newest 2"))
        self.assertTrue(self.is_taken("new 2"))

    def test_other_settings_meanwhile(self) -> None:
        """Settings that come before lists are read hold in the end."""
        self.book.apply(parse_settings("[[rules]]\nkinds = [2]"))
        self.finish()
        self.assertTrue(self.book.loaded.is_past)
        self.assertTrue(self.is_taken("old"))
