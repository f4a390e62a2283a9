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
from nostrtx.relay.policies.conditions import Asked, Depth, Line, Resolved, words_of
from nostrtx.relay.policies.lists import Lists
from nostrtx.relay.policies.verdicts import ACCEPTED, REFUSED, Step, VerdictRecord
from nostrtx.relay.policies.words import WordSearch
from nostrtx.settings.policies import RuleSettings, rule_name

#: What the table is called among policies.
NAME: Final = "rules"

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
        self._words: frozenset[str] = frozenset()
        self._search = WordSearch(())
        self._events: list[Line] = []
        self._requests: list[Line] = []
        self._by_kind: dict[int, list[Line]] = {}
        self._gates: list[tuple[Networks[bool], Line]] = []
        self._is_stale = True
        lists.on_change(self._lists_changed)

    def check_event(self, event: Event, source: Source) -> None:
        """
        Refuse what the table refuses; a request to vanish is taken from anybody.

        Raises:
            Rejected: It is refused.
        """
        if self._is_stale:
            self._resolve()
        lines = self._by_kind.get(event.kind)
        if lines is None:
            lines = self._lines_about(event.kind)
        if lines:
            self._ask(lines, Asked(source, event, (), self._search))

    def check_request(
        self, verb: Verb, filters: Sequence[Filter], source: Source
    ) -> None:
        """
        Refuse what the table refuses to be asked for.

        Raises:
            Rejected: It is refused.
        """
        if self._is_stale:
            self._resolve()
        if self._requests:
            self._ask(self._requests, Asked(source, None, filters, self._search))

    def check_connection(self, address: str) -> None:
        """
        Refuse who could publish nothing, because of nothing but the address.

        Raises:
            Rejected: It is refused.
        """
        if self._is_stale:
            self._resolve()
        for networks, line in self._gates:
            if networks.find(address) is not None:
                if line.settings.verdict == "accept":
                    return
                raise _refusal(line)

    def _lists_changed(self) -> None:
        self._is_stale = True

    def _resolve(self) -> None:
        """Make the table anew, with the lists as they are now."""
        rules = [rule for rule, _ in self._rules]
        words = frozenset().union(*[words_of(rule, self._lists) for rule in rules])
        if words != self._words:
            self._words = words
            self._search = WordSearch(words)
        resolved = Resolved(self._lists, self._depth)
        lines = [resolved.line(rule, name) for rule, name in self._rules]
        self._events = [line for line in lines if line.settings.on == "event"]
        self._requests = [line for line in lines if line.settings.on == "request"]
        self._by_kind = {}
        self._gates = self._find_gates(resolved)
        self._is_stale = False

    def _find_gates(self, resolved: Resolved) -> list[tuple[Networks[bool], Line]]:
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
                gates.append((resolved.networks(rule.addresses), line))
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
