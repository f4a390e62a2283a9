"""
Tests for :mod:`nostrtx.relay.policies.rules` and
:mod:`nostrtx.relay.policies.conditions`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IRequestPolicy,
    Source,
)
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import parse_kinds
from nostrtx.nostr.proof_of_work import difficulty
from nostrtx.relay.policies.lists import Lists
from nostrtx.relay.policies.rules import Rules
from nostrtx.relay.policies.verdicts import VerdictRecord
from nostrtx.settings.file import parse_settings
from nostrtx.settings.policies import ListSettings, RuleSettings
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import event_id, make_event

ALICE, BOB, CAROL = (bytes([number]) * 32 for number in (1, 2, 3))


class RulesTestCase(SynchronousTestCase):
    """A table, and events that are held against it."""

    def setUp(self) -> None:
        """Nobody is trusted at first."""
        self.depths: dict[bytes, int] = {}
        self.record = VerdictRecord()

    def table(self, text: str, require_commitment: bool = False) -> Rules:
        """The table that a settings file states."""
        stated = parse_settings(text)
        lists = Lists(stated.lists, MemoryEventStore(), Clock())
        return Rules(
            stated.rules, lists, self.depths.get, require_commitment, self.record
        )

    def verdict(
        self, rules: Rules, event: Event, source: Source | None = None
    ) -> str | None:
        """Why an event is refused; None if it is taken."""
        try:
            rules.check_event(event, source or Source())
        except Rejected as refusal:
            return refusal.reason
        return None

    def answer(
        self, rules: Rules, *filters: Filter, source: Source | None = None
    ) -> str | None:
        """Why a request is refused; None if it is answered."""
        try:
            rules.check_request("REQ", filters, source or Source())
        except Rejected as refusal:
            return refusal.reason
        return None

    def connection(self, rules: Rules, address: str) -> str | None:
        """Why a connection is refused; None if it is taken."""
        try:
            rules.check_connection(address)
        except Rejected as refusal:
            return refusal.reason
        return None


class EventRulesTests(RulesTestCase):
    """What the table says about events."""

    def test_interfaces(self) -> None:
        """The table is a policy for events, requests and connections."""
        for interface in (IEventCheck, IRequestPolicy, IConnectionPolicy):
            verifyObject(interface, self.table(""))

    def test_nothing(self) -> None:
        """Without rules everything is taken."""
        rules = self.table("")
        self.assertIsNone(self.verdict(rules, make_event()))
        self.assertIsNone(self.answer(rules, Filter()))
        self.assertIsNone(self.connection(rules, "203.0.113.7"))

    def test_trust_then_work(self) -> None:
        """The trusted are free, others work, and old messages are taken of nobody."""
        rules = self.table(
            f"""
            [trust]
            roots = ["{"ab" * 32}"]
            [[rules]]
            kinds = [4]
            reason = "use NIP-17"
            [[rules]]
            trust = 2
            verdict = "accept"
            [[rules]]
            verdict = "pow"
            pow = 20
            """
        )
        self.depths.update({ALICE: 2, BOB: 3})
        worked = make_event(pubkey=BOB, id=bytes(3) + b"\xff" * 29)
        idle = make_event(pubkey=BOB, id=b"\x0f" + b"\xff" * 31)
        self.assertIsNone(self.verdict(rules, make_event(pubkey=ALICE)))
        self.assertIsNone(self.verdict(rules, worked))
        self.assertEqual(self.verdict(rules, idle), "pow: difficulty 4 is less than 20")
        self.assertEqual(
            self.verdict(rules, make_event(pubkey=ALICE, kind=4)),
            "blocked: use NIP-17",
        )

    def test_first_decides(self) -> None:
        """The first rule that holds decides, and those after it are not asked."""
        rules = self.table(
            """
            [[rules]]
            kinds = ["10-20"]
            verdict = "accept"
            [[rules]]
            kinds = [1, 15]
            reason = "restricted: no notes"
            """
        )
        self.assertIsNone(self.verdict(rules, make_event(kind=15)))
        self.assertEqual(
            self.verdict(rules, make_event(kind=1)), "restricted: no notes"
        )
        self.assertIsNone(self.verdict(rules, make_event(kind=2)))

    def test_people(self) -> None:
        """Authors are named by keys or by lists, to be met or to be left out."""
        rules = self.table(
            f"""
            [lists.friends]
            pubkeys = ["{ALICE.hex()}"]
            [[rules]]
            authors = ["{BOB.hex()}"]
            [[rules]]
            not_authors = ["friends", "{CAROL.hex()}"]
            reason = "strangers"
            """
        )
        self.assertIsNone(self.verdict(rules, make_event(pubkey=ALICE)))
        self.assertIsNone(self.verdict(rules, make_event(pubkey=CAROL)))
        self.assertEqual(
            self.verdict(rules, make_event(pubkey=BOB)), "blocked: not taken here"
        )
        self.assertEqual(
            self.verdict(rules, make_event(pubkey=b"\4" * 32)), "blocked: strangers"
        )

    def test_gift_wraps(self) -> None:
        """Of a gift wrap, who has authenticated counts, for its author is made up."""
        rules = self.table(
            f'[[rules]]\nnot_authors = ["{ALICE.hex()}"]\nreason = "restricted: no"'
        )
        wrap = make_event(kind=1059, pubkey=ALICE)
        self.assertEqual(self.verdict(rules, wrap), "restricted: no")
        source = Source(pubkeys=frozenset({ALICE}))
        self.assertIsNone(self.verdict(rules, make_event(kind=1059), source))

    def test_addresses(self) -> None:
        """Clients are told apart by where they come from, loopback included."""
        rules = self.table(
            """
            [lists.bad]
            addresses = ["203.0.113.0/24", "::ffff:198.51.100.1"]
            [[rules]]
            kinds = [1]
            addresses = ["bad", "127.0.0.1", "2001:db8::/32"]
            """
        )
        for address, is_within in (
            ("203.0.113.9", True),
            ("::ffff:203.0.113.9", True),
            ("198.51.100.1", True),
            ("127.0.0.1", True),
            ("2001:db8:1::1", True),
            ("203.0.114.1", False),
            ("", False),
        ):
            for _ in range(2):
                verdict = self.verdict(rules, make_event(kind=1), Source(address))
                self.assertEqual(verdict is not None, is_within, address)

    def test_words(self) -> None:
        """Words and those of lists are looked for in content and hashtags."""
        rules = self.table(
            """
            [lists.spam]
            words = ["free sats"]
            [[rules]]
            words = ["casino", "spam"]
            reason = "spam"
            """
        )
        for event in (
            make_event(content="The CASINO!"),
            make_event(content="free\nsats"),
            make_event(content="x", tags=[["t", "Casino"]]),
        ):
            self.assertEqual(self.verdict(rules, event), "blocked: spam")
        for event in (
            make_event(content="spam"),
            make_event(content="casinos"),
            make_event(kind=4, content="casino"),
        ):
            self.assertIsNone(self.verdict(rules, event))

    def test_words_of_several_rules(self) -> None:
        """Each rule heeds its own words only."""
        rules = self.table(
            """
            [[rules]]
            words = ["one"]
            reason = "1"
            [[rules]]
            words = ["two", "one"]
            reason = "2"
            """
        )
        self.assertEqual(self.verdict(rules, make_event(content="two")), "blocked: 2")
        self.assertEqual(
            self.verdict(rules, make_event(content="two one")), "blocked: 1"
        )

    def test_tags(self) -> None:
        """All tags that a rule names must be there."""
        rules = self.table('[[rules]]\ntags = ["h", "e"]')
        self.assertIsNone(self.verdict(rules, make_event(tags=[["h", "x"]])))
        both = make_event(tags=[["e", "x"], ["p"], ["h"]])
        self.assertIsNotNone(self.verdict(rules, both))

    def test_authentication(self) -> None:
        """Who must prove who it is first is told so."""
        rules = self.table("[[rules]]\nauthenticated = false\nkinds = [1]")
        self.assertEqual(
            self.verdict(rules, make_event()), "auth-required: who is this?"
        )
        source = Source(pubkeys=frozenset({ALICE}))
        self.assertIsNone(self.verdict(rules, make_event(), source))

    def test_commitment(self) -> None:
        """Work counts only if it was aimed at, unless the settings say otherwise."""
        rules = self.table('[[rules]]\nverdict = "pow"\npow = 8', True)
        id_ = bytes(2) + event_id(1)[2:]
        self.assertEqual(
            self.verdict(rules, make_event(id=id_)),
            "pow: the nonce tag must commit to 8 or more",
        )
        aimed = make_event(id=id_, tags=[["nonce", "1", "8"]])
        self.assertIsNone(self.verdict(rules, aimed))

    def test_vanish(self) -> None:
        """A request to vanish is taken from anybody."""
        rules = self.table("[[rules]]")
        self.assertIsNone(self.verdict(rules, make_event(kind=62)))
        self.assertIsNotNone(self.verdict(rules, make_event(kind=61)))

    def test_shadow(self) -> None:
        """A rule in shadow is counted, and the next ones are asked."""
        rules = self.table(
            """
            [[rules]]
            name = "trial"
            shadow = true
            [[rules]]
            shadow = true
            verdict = "pow"
            pow = 200
            [[rules]]
            kinds = [1]
            [[rules]]
            verdict = "accept"
            """
        )
        self.assertIsNotNone(self.verdict(rules, make_event(kind=1)))
        self.assertIsNone(self.verdict(rules, make_event(kind=2)))
        in_shadow = self.record.of("rules", "check", False)
        self.assertEqual(
            sorted(in_shadow.told()),
            [("rule-1", "refused", 2), ("trial", "refused", 2)],
        )
        in_force = self.record.of("rules", "check", True)
        in_force.accepted += 1
        # Who hears of a refusal counts it.
        self.assertEqual(
            list(in_force.told()), [("rule-2", "refused", 0), ("rule-3", "accepted", 1)]
        )


class RequestRulesTests(RulesTestCase):
    """What the table says about requests."""

    def test_kinds(self) -> None:
        """To be refused is what may bring such kinds; to be accepted, nothing else."""
        refusing = self.table('[[rules]]\non = "request"\nkinds = [4, 1059]')
        self.assertIsNone(self.answer(refusing, Filter(kinds=(1,))))
        for filters in (
            (Filter(),),
            (Filter(kinds=(1, 4)),),
            (Filter(kinds=(1,)), Filter(kinds=(4,))),
        ):
            self.assertEqual(self.answer(refusing, *filters), "blocked: not given here")
        accepting = self.table(
            """
            [[rules]]
            on = "request"
            kinds = [0, 3]
            verdict = "accept"
            [[rules]]
            on = "request"
            authenticated = false
            reason = "read with a key"
            """
        )
        self.assertIsNone(self.answer(accepting, Filter(kinds=(3, 0))))
        for one in (Filter(), Filter(kinds=(0, 1))):
            self.assertEqual(
                self.answer(accepting, Filter(kinds=(0,)), one),
                "auth-required: read with a key",
            )
        known = Source(pubkeys=frozenset({ALICE}))
        self.assertIsNone(self.answer(accepting, Filter(), source=known))

    def test_people(self) -> None:
        """Whose request it is, authentication tells."""
        rules = self.table(
            f"""
            [[rules]]
            on = "request"
            not_authors = ["{ALICE.hex()}"]
            reason = "restricted: for Alice"
            """
        )
        self.assertEqual(self.answer(rules, Filter()), "restricted: for Alice")
        both = Source(pubkeys=frozenset({ALICE, BOB}))
        self.assertIsNone(self.answer(rules, Filter(), source=both))

    def test_events_and_requests(self) -> None:
        """Rules about the one say nothing about the other."""
        rules = self.table("[[rules]]")
        self.assertIsNone(self.answer(rules, Filter()))
        rules = self.table('[[rules]]\non = "request"')
        self.assertIsNone(self.verdict(rules, make_event()))


class ConnectionRulesTests(RulesTestCase):
    """Whom the table does not let connect."""

    def test_address_alone(self) -> None:
        """Who is refused for its address alone need not connect."""
        rules = self.table(
            """
            [[rules]]
            kinds = [4]
            [[rules]]
            addresses = ["203.0.113.1"]
            verdict = "accept"
            [[rules]]
            addresses = ["203.0.113.0/24"]
            reason = "go away"
            """
        )
        self.assertEqual(self.connection(rules, "203.0.113.2"), "blocked: go away")
        for address in ("203.0.113.1", "203.0.114.1", ""):
            self.assertIsNone(self.connection(rules, address))

    def test_not_alone(self) -> None:
        """Who might publish something may connect."""
        for before in (
            '[[rules]]\nkinds = [1]\nverdict = "accept"',
            '[[rules]]\nverdict = "pow"\npow = 1',
        ):
            rules = self.table(f"{before}\n[[rules]]\naddresses = ['203.0.113.2']")
            self.assertIsNone(self.connection(rules, "203.0.113.2"))
        for more in ("kinds = [1]", "trust = 0", "authenticated = false"):
            rules = self.table(f"[[rules]]\naddresses = ['203.0.113.2']\n{more}")
            self.assertIsNone(self.connection(rules, "203.0.113.2"))

    def test_shadow(self) -> None:
        """A rule in shadow keeps nobody out."""
        rules = self.table("[[rules]]\naddresses = ['203.0.113.2']\nshadow = true")
        self.assertIsNone(self.connection(rules, "203.0.113.2"))


_PEOPLE = (ALICE, BOB, CAROL)
_WORDS = ("a", "b", "*c*")
_ADDRESSES = ("10.0.0.1", "10.0.0.2", "192.0.2.1", "")
_NETWORKS = ("10.0.0.0/8", "10.0.0.2")


def _some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2).map(tuple)


_RULES = st.builds(
    RuleSettings,
    kinds=st.lists(st.sampled_from([1, "2-3", 1059]), max_size=2).map(tuple),
    authors=_some([ALICE.hex(), "people"]),
    not_authors=_some([BOB.hex(), "people"]),
    trust=st.none() | st.integers(0, 2),
    addresses=_some([*_NETWORKS, "people"]),
    words=_some([*_WORDS, "people"]),
    tags=_some(["t", "h"]),
    authenticated=st.none() | st.booleans(),
    verdict=st.sampled_from(["accept", "refuse", "pow"]),
    pow=st.integers(1, 3),
    shadow=st.booleans(),
)
_LISTS = st.builds(
    ListSettings,
    pubkeys=_some([person.hex() for person in _PEOPLE]),
    addresses=_some(_NETWORKS),
    words=_some(_WORDS),
)
_EVENTS = st.builds(
    make_event,
    kind=st.sampled_from([1, 2, 4, 1059]),
    pubkey=st.sampled_from(_PEOPLE),
    content=st.text("abc ", max_size=5),
    tags=st.lists(st.sampled_from([["t", "a"], ["h", "x"]]), max_size=2),
    id=st.binary(min_size=32, max_size=32),
)
_SOURCES = st.builds(
    Source, st.sampled_from(_ADDRESSES), st.frozensets(st.sampled_from(_PEOPLE))
)
_DEPTHS = st.dictionaries(st.sampled_from(_PEOPLE), st.integers(0, 2))


def _holds(
    rule: RuleSettings,
    people: ListSettings,
    depths: dict[bytes, int],
    event: Event,
    source: Source,
) -> bool:
    """Whether all conditions of a rule hold, each looked at in the plainest way."""
    whose = source.pubkeys if event.kind == 1059 else {event.pubkey}

    def named(texts: tuple[str, ...], listed: tuple[str, ...]) -> list[str]:
        return [
            one for text in texts for one in (listed if text == "people" else (text,))
        ]

    def said(word: str) -> bool:
        tags = [tag[1] for tag in event.tags if tag[0] == "t"]
        content = (
            ""
            if event.kind in (4, 1059)
            else re.findall('"content":"(.*)","sig"', event.raw.decode())[0]
        )
        text = "\n".join([content, *tags])
        if word == "*c*":
            return "c" in text
        return word in re.findall(r"\w+", text)

    def is_in(network: str) -> bool:
        start = "10." if "/" in network else network
        return source.address.startswith(start) and source.address != ""

    return (
        (not rule.kinds or any(event.kind in k for k in parse_kinds(rule.kinds)))
        and (
            not rule.authors
            or any(p.hex() in named(rule.authors, people.pubkeys) for p in whose)
        )
        and not any(p.hex() in named(rule.not_authors, people.pubkeys) for p in whose)
        and (
            rule.trust is None
            or any(p in depths and depths[p] <= rule.trust for p in whose)
        )
        and (
            not rule.addresses
            or any(map(is_in, named(rule.addresses, people.addresses)))
        )
        and (not rule.words or any(map(said, named(rule.words, people.words))))
        and all(any(tag[0] == name for tag in event.tags) for name in rule.tags)
        and rule.authenticated in (None, bool(source.pubkeys))
    )


class NaiveTests(SynchronousTestCase):
    """The table against one that is asked in the plainest way."""

    @settings(max_examples=150, deadline=None)
    @given(st.lists(_RULES, max_size=4), _LISTS, _DEPTHS, _EVENTS, _SOURCES)
    def test_same_verdict(
        self,
        table: list[RuleSettings],
        people: ListSettings,
        depths: dict[bytes, int],
        event: Event,
        source: Source,
    ) -> None:
        """Whatever the table is, an event is taken or not as its lines say."""
        expected = True
        for rule in table:
            if not rule.shadow and _holds(rule, people, depths, event, source):
                work = difficulty(event.id) >= rule.pow
                expected = rule.verdict == "accept" or (rule.verdict == "pow" and work)
                break
        lists = Lists({"people": people}, MemoryEventStore(), Clock())
        rules = Rules(table, lists, depths.get, False, VerdictRecord())
        try:
            rules.check_event(event, source)
        except Rejected:
            self.assertFalse(expected)
        else:
            self.assertTrue(expected)
