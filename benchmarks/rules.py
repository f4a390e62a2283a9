"""
What a table of rules costs for each event: ``python -m benchmarks.rules``.

Ten rules, with 10,000 keys, 1,000 words, networks, trust and kinds, over real notes
that pass all of them, so that every rule is asked; and the same without words.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Final

from twisted.internet.task import Clock

from nostrtx.interfaces.policies import Source
from nostrtx.nostr.event import stored_event
from nostrtx.nostr.text import raw_content
from nostrtx.relay.policies.lists import Lists
from nostrtx.relay.policies.rules import Rules
from nostrtx.relay.policies.verdicts import VerdictRecord
from nostrtx.settings.policies import ListSettings, RuleSettings
from nostrtx.storage.memory import MemoryEventStore

_EVENTS: Final = Path(__file__).parents[1] / "tests" / "data" / "real-events.jsonl"

#: How often all events are gone through. Of each few the quickest round counts: what
#: else runs on the machine slows down but some of them.
_ROUNDS: Final = 100
_TOGETHER: Final = 10

#: Which texts are looked at.
Script = Callable[[str], bool]


def _any(text: str) -> bool:
    return True


def _is_other(text: str) -> bool:
    return not text.isascii()


def _lists(choice: random.Random) -> dict[str, ListSettings]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [
        "xq" + "".join(choice.choices(letters, k=choice.randint(3, 10)))
        for _ in range(1000)
    ]
    return {
        "people": ListSettings(
            pubkeys=tuple([choice.randbytes(32).hex() for _ in range(10_000)])
        ),
        "spam": ListSettings(words=tuple(words)),
        "places": ListSettings(
            addresses=tuple([f"10.{at}.0.0/16" for at in range(256)])
        ),
    }


def _table(has_words: bool) -> list[RuleSettings]:
    """Ten rules, none of which holds."""
    plain = [
        RuleSettings(kinds=(64_000, "65000-65535")),
        RuleSettings(authors=("people",)),
        RuleSettings(addresses=("places",)),
        RuleSettings(trust=2, verdict="accept"),
        RuleSettings(authenticated=True),
        RuleSettings(not_authors=("people",), tags=("never",)),
        RuleSettings(trust=1, addresses=("places", "203.0.114.0/24")),
    ]
    if not has_words:
        return [*plain, *plain[1:4]]
    words = [("spam",), ("xqcasino", "*xqcoin*"), ("spam", "free xqsats")]
    return [*plain, *[RuleSettings(words=some) for some in words]]


def _measure(name: str, table: list[RuleSettings], script: Script = _any) -> None:
    choice = random.Random(1)
    lists = Lists(_lists(choice), MemoryEventStore(), Clock())
    trusted = {choice.randbytes(32): 2 for _ in range(100_000)}
    rules = Rules(table, lists, trusted.get, False, VerdictRecord())
    with _EVENTS.open("rb") as lines:
        events = [stored_event(line.strip()) for line in lines]
    events = [one for one in events if one.kind == 1 and script(raw_content(one.raw))]
    source = Source("203.0.113.7")
    some = [events[at : at + _TOGETHER] for at in range(0, len(events), _TOGETHER)]
    seconds = [inf] * len(some)
    for _ in range(_ROUNDS):
        for at, few in enumerate(some):
            began = perf_counter()
            for event in few:
                rules.check_event(event, source)
            seconds[at] = min(seconds[at], perf_counter() - began)
    print(f"{name}: {sum(seconds) / len(events) * 1e6:.2f} µs an event")


def main() -> None:
    """Measure, and print what came out."""
    _measure("no rules", [])
    _measure("ten rules, no words", _table(False))
    _measure("ten rules with words", _table(True))
    _measure("ten rules with words, notes in ASCII", _table(True), str.isascii)
    _measure("ten rules with words, other notes", _table(True), _is_other)


if __name__ == "__main__":
    main()
