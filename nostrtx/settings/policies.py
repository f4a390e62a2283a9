# -*- test-case-name: tests.settings.test_policies -*-
"""Which events and requests are taken: lists, trust, and the table of rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from nostrtx.nostr.bech32 import parse_pubkey
from nostrtx.nostr.kinds import parse_kinds
from nostrtx.nostr.lists import parse_list_address
from nostrtx.settings.checks import (
    at_least,
    hex_keys,
    keys,
    one_of,
    parse_network,
    positive,
    shown,
)

#: What stands for the keys that were allowed by name, where rules name people.
ALLOWED: Final = "allowed"

#: What may be the name of a list or of a rule.
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

#: Longest text of a list's entry, in characters.
MAX_WORD: Final = 256

#: How far from the roots anybody can be trusted.
MAX_DEPTH: Final = 4


def is_name(text: str) -> bool:
    """Whether ``text`` may name a list; nothing longer than that can."""
    return _NAME.fullmatch(text) is not None


def check_word(text: str) -> None:
    """
    Make sure that something can be looked for.

    Raises:
        ValueError: It is empty, or too long.
    """
    if not text.strip(" *"):
        raise ValueError("must not hold an empty word")
    if len(text) > MAX_WORD:
        raise ValueError(f"must hold words of at most {MAX_WORD} characters")


def _words(_: object, __: object, value: tuple[str, ...]) -> None:
    for text in value:
        check_word(text)


def _networks(_: object, __: object, value: tuple[str, ...]) -> None:
    for text in value:
        parse_network(text)


def _list_addresses(_: object, __: object, value: tuple[str, ...]) -> None:
    for text in value:
        try:
            parse_list_address(text)
        except ValueError as error:
            raise ValueError(f"must hold addresses of Nostr lists: {error}") from None


def _kinds(_: object, __: object, value: tuple[int | str, ...]) -> None:
    parse_kinds(value)


def _people(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that each text is the name of a list, or a public key."""
    for text in value:
        if not is_name(text):
            raise ValueError(
                "must hold names of lists or public keys, as npub or in"
                f" hexadecimal, not {shown(text)}"
            )


def _places(_: object, __: object, value: tuple[str, ...]) -> None:
    """Check that each text is the name of a list, or a network."""
    for text in value:
        try:
            parse_network(text)
        except ValueError:
            if not is_name(text):
                raise ValueError(
                    "must hold names of lists or networks such as 10.0.0.0/8,"
                    f" not {shown(text)}"
                ) from None


def _rule_name(_: object, __: object, value: str) -> None:
    if value and not is_name(value):
        raise ValueError(
            f"must be up to 64 of a-z, A-Z, 0-9, -, _ and ., not {shown(value)}"
        )


def _optional_depth(_: object, __: object, value: int | None) -> None:
    if value is not None:
        at_least(0, MAX_DEPTH)(_, __, value)


@attrs.frozen
class ListSettings:
    """
    ``[lists.NAME]``: keys, addresses and words that rules name together.

    Attributes:
        pubkeys: Public keys, 64 hexadecimal digits each or npub.
        addresses: Addresses and networks of clients.
        words: Words and phrases.
        files: Files with more of it, one entry a line.
        of: What the files hold: ``pubkeys``, ``addresses`` or ``words``.
        refresh_seconds: How often the files are looked at.
        nostr: Lists on this relay whose public entries belong to it.
    """

    pubkeys: tuple[str, ...] = attrs.field(
        default=(), converter=hex_keys, validator=keys
    )
    addresses: tuple[str, ...] = attrs.field(default=(), validator=_networks)
    words: tuple[str, ...] = attrs.field(default=(), validator=_words)
    files: tuple[str, ...] = ()
    of: str = attrs.field(
        default="pubkeys", validator=one_of("pubkeys", "addresses", "words")
    )
    refresh_seconds: float = attrs.field(default=10.0, validator=positive)
    nostr: tuple[str, ...] = attrs.field(default=(), validator=_list_addresses)


@attrs.frozen
class TrustSettings:
    """
    ``[trust]``: whom the roots follow, whom those follow, and so on.

    Attributes:
        roots: Public keys, 64 hexadecimal digits each or npub; none for no trust.
        depth: How many steps are gone from them.
        refresh_seconds: How often all of it is found anew; who is followed newly is
            trusted at once.
        max_pubkeys: How many are trusted at most, the nearest first.
    """

    roots: tuple[str, ...] = attrs.field(default=(), converter=hex_keys, validator=keys)
    depth: int = attrs.field(default=2, validator=at_least(1, MAX_DEPTH))
    refresh_seconds: float = attrs.field(default=3600.0, validator=at_least(10))
    max_pubkeys: int = attrs.field(default=1_000_000, validator=at_least(1))


@attrs.frozen
class RuleSettings:
    """
    ``[[rules]]``: one line of the table that says what is taken.

    What is not stated is no condition; all that is stated must hold.

    Attributes:
        name: What it is called in the log and in metrics; empty for its number.
        on: What it is about: ``event``, or ``request``: what is asked for.
        kinds: Numbers, and ranges such as ``"30000-39999"``.
        authors: Names of lists, ``allowed``, and public keys: one of them must be the
            author.
        not_authors: Likewise: none of them may be.
        trust: How far from the roots the author may be at most; 0 for the roots.
        addresses: Names of lists, and networks, of which one must hold the client.
        words: Names of lists, and words, of which one must be in the text.
        tags: Names of tags, all of which the event must have.
        authenticated: Whether the client has proved who it is (NIP-42).
        verdict: ``accept``, ``refuse``, or ``pow`` for what has cost some work.
        pow: How much work the verdict ``pow`` asks for (NIP-13), in bits.
        reason: What a refused client is told.
        shadow: Whether the rule is only counted, and nothing refused.
    """

    name: str = attrs.field(default="", validator=_rule_name)
    on: str = attrs.field(default="event", validator=one_of("event", "request"))
    kinds: tuple[int | str, ...] = attrs.field(default=(), validator=_kinds)
    authors: tuple[str, ...] = attrs.field(default=(), validator=_people)
    not_authors: tuple[str, ...] = attrs.field(default=(), validator=_people)
    trust: int | None = attrs.field(default=None, validator=_optional_depth)
    addresses: tuple[str, ...] = attrs.field(default=(), validator=_places)
    words: tuple[str, ...] = attrs.field(default=(), validator=_words)
    tags: tuple[str, ...] = ()
    authenticated: bool | None = None
    verdict: str = attrs.field(
        default="refuse", validator=one_of("accept", "refuse", "pow")
    )
    pow: int = attrs.field(default=0, validator=at_least(0, 256))
    reason: str = ""
    shadow: bool = False


def rule_name(rule: RuleSettings, number: int) -> str:
    """What a rule is called: its name, or its number as the file counts them."""
    return rule.name or f"rule-{number}"


def name_allowed(rules: Iterable[RuleSettings]) -> bool:
    """Whether some rule is about the keys that were allowed by name."""
    return any(ALLOWED in (*rule.authors, *rule.not_authors) for rule in rules)


def table_faults(
    rules: tuple[RuleSettings, ...], lists: dict[str, ListSettings], has_roots: bool
) -> list[str]:
    """
    What is wrong with rules and lists that are each good by themselves.

    Returns:
        A line for each fault, beginning with the name of the setting.
    """
    faults = [
        f"lists.{name}: a list's name must be up to 64 of a-z, A-Z, 0-9, -, _ and ."
        for name in lists
        if not is_name(name)
    ]
    if ALLOWED in lists:
        faults.append(
            f"lists.{ALLOWED}: this name stands for the keys that were allowed by"
            " allowpubkey (NIP-86) or nostrtx allowed"
        )
    seen: set[str] = set()
    for at, rule in enumerate(rules):
        where = f"rules[{at}]"
        called = rule_name(rule, at)
        if called in seen:
            faults.append(f"{where}.name: another rule is called {shown(called)}")
        seen.add(called)
        for setting in ("authors", "not_authors"):
            for text in getattr(rule, setting):
                if text in lists or text == ALLOWED:
                    continue
                if fault := _key_fault(text):
                    faults.append(f"{where}.{setting}: {fault}")
        for text in rule.addresses:
            if text not in lists and not _is_network(text):
                faults.append(f"{where}.addresses: there is no list {shown(text)}")
        faults += [f"{where}.{fault}" for fault in _faults_within(rule, has_roots)]
    return faults


def _faults_within(rule: RuleSettings, has_roots: bool) -> list[str]:
    faults = []
    if rule.trust is not None and not has_roots:
        faults.append("trust: needs trust.roots")
    if (rule.verdict == "pow") != (rule.pow > 0):
        faults.append('pow: must be stated with the verdict "pow", and only there')
    if rule.on == "request":
        if rule.verdict == "pow":
            faults.append('verdict: must not be "pow" on requests')
        for setting in ("words", "tags"):
            if getattr(rule, setting):
                faults.append(f"{setting}: must not be stated on requests")
    return faults


def _key_fault(text: str) -> str:
    """Why a text is neither a list's name nor a key; empty if it is a key."""
    try:
        parse_pubkey(text)
    except ValueError as error:
        # What looks like a key, perhaps a secret one, is not shown.
        if text.startswith(("npub1", "nsec1")) or len(text) == 64:
            return str(error)
        return f"there is no list {shown(text)}"
    return ""


def _is_network(text: str) -> bool:
    try:
        parse_network(text)
    except ValueError:
        return False
    return True
