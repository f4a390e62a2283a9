# -*- test-case-name: tests.storage.search.test_index -*-
"""
What the search index holds of an event, and the questions it is asked.

The words are cut by :mod:`nostrtx.nostr.search` and only looked up by tantivy.
Everything else is a number, often a part of a key or a hash: it sifts, and what it
lets through is compared in full. Questions are built from words and numbers, never
parsed from text, so a client's text has no operators.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b
from importlib.metadata import version
from typing import Any, Final

import tantivy
from tantivy import FieldType, Occur, Query

from nostrtx.nostr.event import indexed_tags, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import MAX_KIND
from nostrtx.nostr.search import is_searched, raw_kind, search_words, searched_words

#: Changes with the fields below and with the words; another index is made anew.
VERSION: Final = f"1 tantivy-{version('tantivy').rpartition('.')[0]}"

#: How much better than an event of 2020 one of 2040 is, all else being equal: very
#: little, but it orders what would be equal, the newest first.
_BONUS: Final = 0.125
_EPOCH: Final = 1_577_836_800
_SPAN: Final = 20 * 365.25 * 86400

_LAST_SECOND: Final = 2**40


def schema() -> Any:
    """The fields of the index."""
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("seq", indexed=True, fast=True)
    builder.add_unsigned_field("id", indexed=True, fast=True)
    builder.add_unsigned_field("author", indexed=True)
    builder.add_unsigned_field("kind", indexed=True)
    builder.add_unsigned_field("created_at", fast=True)
    builder.add_unsigned_field("tags", indexed=True)
    builder.add_float_field("recency", fast=True)
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    return builder.build()


SCHEMA: Final = schema()


def document(seq: int, raw: bytes) -> Any | None:
    """What is indexed of the event under ``seq``; None if it has no words."""
    if not is_searched(raw_kind(raw)):
        return None
    event = stored_event(raw)
    words = searched_words(event)
    if not words:
        return None
    return tantivy.Document.from_dict(
        {
            "seq": seq,
            "id": key_number(event.id),
            "author": key_number(event.pubkey),
            "kind": event.kind,
            "created_at": event.created_at,
            "tags": [_tag_number(*pair) for pair in indexed_tags(event)],
            "recency": math.exp2(recency(event.created_at)) - 2,
            "words": " ".join(words),
        },
        SCHEMA,
    )


def recency(created_at: int) -> float:
    """The factor by which the time of an event improves its score, 1 or more."""
    return 1 + _BONUS * min(max((created_at - _EPOCH) / _SPAN, 0), 1)


def key_number(key: bytes) -> int:
    """The number that stands for an id or a pubkey."""
    return int.from_bytes(key[:8], "big")


def question(asked: Filter, hidden: Iterable[int] = ()) -> Any:
    """
    The query for the events that may match ``asked``, which has words.

    Args:
        asked: All of its members are looked at but ``limit``.
        hidden: Kinds to leave out.
    """
    parts = [
        (Occur.Must, Query.term_query(SCHEMA, "words", word, "freq"))
        for word in search_words(asked.search or "")
    ]
    if not parts:
        return Query.empty_query()
    sets: list[tuple[str, Iterable[int]]] = [
        ("tags", [_tag_number(letter, value) for value in values])
        for letter, values in asked.tags
    ]
    if asked.ids is not None:
        sets.append(("id", map(key_number, asked.ids)))
    if asked.authors is not None:
        sets.append(("author", map(key_number, asked.authors)))
    if asked.kinds is not None:
        sets.append(("kind", [k for k in asked.kinds if 0 <= k <= MAX_KIND]))
    parts += [(Occur.Must, _one_of(field, numbers)) for field, numbers in sets]
    if asked.since is not None or asked.until is not None:
        parts.append((Occur.Must, within("created_at", asked.since, asked.until)))
    if hidden := sorted(hidden):
        parts.append((Occur.MustNot, _one_of("kind", hidden)))
    return Query.boolean_query(parts)


def both(one: Any, other: Any) -> Any:
    """The query for what two queries find; scored by the first."""
    return Query.boolean_query([(Occur.Must, one), (Occur.Must, other)])


def within(field: str, first: int | None, last: int | None) -> Any:
    """The query for what has a number from ``first`` to ``last`` in a field."""
    low = min(max(first or 0, 0), _LAST_SECOND)
    high = _LAST_SECOND if last is None else min(last, _LAST_SECOND)
    if high < low:
        return Query.empty_query()
    inside = Query.range_query(SCHEMA, field, FieldType.Unsigned, low, high)
    return Query.const_score_query(inside, 0.0)


def _one_of(field: str, numbers: Iterable[int]) -> Any:
    return Query.const_score_query(
        Query.term_set_query(SCHEMA, field, list(numbers)), 0.0
    )


def _tag_number(letter: str, value: str) -> int:
    digest = blake2b(f"{letter}{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
