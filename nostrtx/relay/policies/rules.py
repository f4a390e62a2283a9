# -*- test-case-name: tests.relay.policies.test_rules -*-
"""
The table of rules: the first one that holds decides what is taken.

It is asked before the signature is checked: it keeps nothing of an event but how often
each rule has held. Refusals are counted by whoever hears of them; here, what accepts,
and what is in shadow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zope.interface import implementer

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IRequestPolicy,
    Source,
    Verb,
)
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import REQUEST_TO_VANISH
from nostrtx.nostr.proof_of_work import check_proof_of_work
from nostrtx.relay.networks import Networks
from nostrtx.relay.policies.conditions import (
    Asked,
    Depth,
    Line,
    Resolved,
    is_in,
    places_of,
    words_of,
)
from nostrtx.relay.policies.list_files import InThread
from nostrtx.relay.policies.lists import Lists
from nostrtx.relay.policies.searches import Searches
from nostrtx.relay.policies.verdicts import ACCEPTED, REFUSED, Step, VerdictRecord
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.policies import RuleSettings, rule_name

#: What the table is called among policies.
NAME: Final = "rules"

#: So many entries of lists are prepared in between, which takes some milliseconds.
_AT_ONCE: Final = 300

_PREFIXES: Final = {prefix.value: prefix for prefix in ReasonPrefix}

#: What else than addresses a rule can be about.
_CONDITIONS: Final = (
    *("kinds", "authors", "not_authors", "words", "tags", "trust", "authenticated"),
)


@implementer(IEventCheck, IRequestPolicy, IConnectionPolicy)
class Rules:
    """
    The table, as it is asked about every event, request and connection.

    Args:
        rules: In the order in which they are asked.
        lists: What they name.
        depth: How far from the roots of trust somebody is.
        require_commitment: Whether work counts only if it was aimed at.
        record: Where verdicts are counted.
    """

    def __init__(
        self,
        rules: Sequence[RuleSettings],
        lists: Lists,
        depth: Depth,
        require_commitment: bool,
        record: VerdictRecord,
    ) -> None:
        self._rules = [(rule, rule_name(rule, at)) for at, rule in enumerate(rules)]
        for rule, name in self._rules:
            verdict = ACCEPTED if rule.verdict == "accept" else REFUSED
            record.of(NAME, _step(rule), not rule.shadow).expect(verdict, name)
        self._lists = lists
        self._depth = depth
        self._require_commitment = require_commitment
        self._record = record
        self._searches = Searches()
        self._version: int | None = None
        self._in_thread: InThread | None = None
        self._is_preparing = False
        self._tasks = BackgroundTasks()
        self._events: list[Line] = []
        self._requests: list[Line] = []
        self._by_kind: dict[int, list[Line]] = {}
        self._gates: list[tuple[list[Networks[bool]], Line]] = []

    async def prepare(self, in_thread: InThread) -> None:
        """
        Make ready for the lists as they are.

        Args:
            in_thread: Runs what takes a while, now and whenever lists have changed.
        """
        self._in_thread = in_thread
        await self._prepare(in_thread)

    def stop(self) -> None:
        """Make nothing ready any more."""
        self._tasks.cancel_all()

    def check_event(self, event: Event, source: Source) -> None:
        """
        Refuse what the table refuses; a request to vanish is taken from anybody.

        Raises:
            Rejected: It is refused.
        """
        if self._version != self._lists.version:
            self._renew()
        lines = self._by_kind.get(event.kind)
        if lines is None:
            lines = self._lines_about(event.kind)
        if lines:
            self._ask(lines, Asked(source, event, (), self._searches.search))

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """
        Refuse what the table refuses to be asked for.

        Raises:
            Rejected: It is refused.
        """
        if self._version != self._lists.version:
            self._renew()
        if self._requests:
            search = self._searches.search
            self._ask(self._requests, Asked(source, None, filters, search))

    def check_connection(self, address: str) -> None:
        """
        Refuse who could publish nothing, because of nothing but the address.

        Raises:
            Rejected: It is refused.
        """
        if self._version != self._lists.version:
            self._renew()
        for networks, line in self._gates:
            if is_in(address, networks):
                if line.settings.verdict == "accept":
                    return
                raise _refusal(line)

    def _renew(self) -> None:
        """Go by the lists as they are; by many words and networks a little later."""
        self._version = self._lists.version
        words, places = self._wanted()
        lacking = self._searches.lack(words, places)
        if self._in_thread is None or lacking <= _AT_ONCE:
            self._searches = self._searches.for_these(words, places)
            self._resolve()
        elif not self._is_preparing:
            self._tasks.start(self._prepare(self._in_thread), "Preparing lists")

    async def _prepare(self, in_thread: InThread) -> None:
        self._is_preparing = True
        try:
            while True:
                self._version = self._lists.version
                words, places = self._wanted()
                if not self._searches.lack(words, places):
                    break
                made = await in_thread(self._searches.for_these, words, places)
                assert isinstance(made, Searches)
                self._searches = made
        finally:
            self._is_preparing = False
        self._resolve()

    def _wanted(self) -> tuple[frozenset[str], list[frozenset[str]]]:
        """The words and lists of addresses that are looked for."""
        rules = [rule for rule, _ in self._rules]
        words = frozenset().union(*[words_of(rule, self._lists) for rule in rules])
        return words, [some for rule in rules for some in places_of(rule, self._lists)]

    def _resolve(self) -> None:
        """Make the table anew."""
        resolved = Resolved(self._lists, self._depth, self._searches)
        lines = [resolved.line(rule, name) for rule, name in self._rules]
        self._events = [line for line in lines if line.settings.on == "event"]
        self._requests = [line for line in lines if line.settings.on == "request"]
        self._by_kind = {}
        self._gates = self._find_gates(resolved)

    def _find_gates(
        self, resolved: Resolved
    ) -> list[tuple[list[Networks[bool]], Line]]:
        """The rules that decide by the address alone, before any that may accept."""
        gates = []
        for line in self._events:
            rule = line.settings
            if rule.shadow:
                continue
            is_gate = bool(rule.addresses) and not any(
                getattr(rule, name) not in ((), None) for name in _CONDITIONS
            )
            if is_gate and rule.verdict != "pow":
                gates.append((resolved.networks(rule), line))
            elif rule.verdict != "refuse":
                break
        return gates

    def _lines_about(self, kind: int) -> list[Line]:
        lines: list[Line] = []
        if kind != REQUEST_TO_VANISH:
            lines = [line for line in self._events if line.is_about(kind)]
        self._by_kind[kind] = lines
        return lines

    def _ask(self, lines: Sequence[Line], asked: Asked) -> None:
        for line in lines:
            for condition in line.conditions:
                if not condition(asked):
                    break
            else:
                refusal = self._refusal(line, asked.event)
                is_enforced = not line.settings.shadow
                if refusal is not None and is_enforced:
                    raise refusal
                verdict = ACCEPTED if refusal is None else REFUSED
                step = _step(line.settings)
                self._record.of(NAME, step, is_enforced).count(verdict, line.name)
                if is_enforced:
                    return

    def _refusal(self, line: Line, event: Event | None) -> Rejected | None:
        """What a rule that holds says; None if it accepts."""
        rule = line.settings
        if rule.verdict == "accept":
            return None
        if rule.verdict == "refuse":
            return _refusal(line)
        assert event is not None
        try:
            check_proof_of_work(event, rule.pow, self._require_commitment)
        except Rejected as refusal:
            return Rejected(refusal.prefix, refusal.message, line.name)
        return None


def _step(rule: RuleSettings) -> Step:
    return "request" if rule.on == "request" else "check"


def _refusal(line: Line) -> Rejected:
    """The answer of a rule that refuses; its reason may begin with a prefix."""
    rule = line.settings
    word, colon, rest = rule.reason.partition(":")
    if colon and word in _PREFIXES and rest.strip():
        return Rejected(_PREFIXES[word], rest.strip(), line.name)
    if rule.authenticated is False:
        reason = rule.reason or "who is this?"
        return Rejected(ReasonPrefix.AUTH_REQUIRED, reason, line.name)
    default = "not taken here" if rule.on == "event" else "not given here"
    return Rejected(ReasonPrefix.BLOCKED, rule.reason or default, line.name)
