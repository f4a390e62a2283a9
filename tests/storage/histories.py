"""
Random histories of a store, and random filters, for property tests.

Everything is drawn from small pools, so that duplicates, ties, rival versions,
deletions and keys that begin alike are common.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import Final, TypeVar

import attrs
from hypothesis import strategies as st

from nostrtx.nostr.event import MAX_CREATED_AT, Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import NOW, make_event
from tests.storage.screens import Screen

_T = TypeVar("_T")

_FEW: Final = [
    *(b"same" + bytes([n]) * 28 for n in (1, 2)),
    b"samf" + b"\x01" * 28,
    b"\xff" * 32,
]

#: Authors that begin alike, four by four; the first four write the most.
AUTHORS: Final = _FEW + [
    sha256(bytes([n // 4])).digest()[:4] + bytes([n]) * 28 for n in range(96)
]

#: Many who never wrote, though some keys begin like theirs, and two who did.
_STRANGERS: Final = tuple(
    dict.fromkeys([*(key[:20] + bytes(12) for key in AUTHORS[:70]), *AUTHORS[3:5]])
)

_TIMES: Final = [*range(NOW - 3, NOW + 4), 0, 2**32, MAX_CREATED_AT]
_KINDS: Final = [0, 1, 3, 7, 1059, 10002, 30000, 30023]
_D_VALUES: Final = ["", "x", "y", "x" * 90, "x" * 91]
_T_VALUES: Final = ["", "a", "b", "a\x00", "é" * 50, "é" * 51, "ab" * 32, "AB" * 32]
_ID_PREFIXES: Final = [b"same", b"samf", b"\x00\x00\x00\x00"]


@attrs.frozen
class Sweep:
    """A step of a history: what is expired at ``now`` is removed."""

    now: int


#: A step of a history: a batch of events to save, or a sweep.
Step = tuple[Event, ...] | Sweep


def _event(
    pubkey: bytes,
    created_at: int,
    kind: int,
    tags: Sequence[Sequence[str]],
    content: str = "",
) -> Event:
    """An event whose id depends on all of it, but begins like others."""
    event = make_event(
        pubkey=pubkey, created_at=created_at, kind=kind, tags=tags, content=content
    )
    prefix = _ID_PREFIXES[event.id[0] % 3]
    return make_event(
        id=prefix + event.id[4:],
        pubkey=pubkey,
        created_at=created_at,
        kind=kind,
        tags=tags,
        content=content,
    )


def _author() -> st.SearchStrategy[bytes]:
    return st.sampled_from(_FEW) | st.sampled_from(AUTHORS)


def _time() -> st.SearchStrategy[int]:
    return st.sampled_from(_TIMES)


def _tag() -> st.SearchStrategy[list[str]]:
    hexes = st.sampled_from([key.hex() for key in _FEW])
    return st.one_of(
        st.tuples(st.sampled_from("tTd"), st.sampled_from(_T_VALUES)).map(list),
        st.sampled_from(_D_VALUES).map(lambda value: ["d", value]),
        st.tuples(st.sampled_from("pe"), hexes).map(list),
        st.sampled_from(range(NOW - 1, NOW + 4)).map(
            lambda time: ["expiration", str(time)]
        ),
        st.just(["d"]),
    )


_notes: Final = st.builds(
    _event,
    _author(),
    _time(),
    st.sampled_from(_KINDS),
    st.lists(_tag(), max_size=3),
    st.sampled_from(["", "", "", "x" * 600]),
)


def _requests(notes: list[Event]) -> st.SearchStrategy[Event]:
    """Deletion requests that name some of ``notes``, mostly by their authors."""

    def named(event: Event) -> list[list[str]]:
        tags = [["e", event.id.hex()]]
        address = event.address
        if address is not None:
            tags.append(["a", f"{address.kind}:{address.pubkey.hex()}:{address.d}"])
        return tags

    def request(
        targets: list[Event], author: bytes | None, created_at: int, which: int
    ) -> Event:
        tags = [tag for target in targets for tag in named(target)[which:][:1]]
        return _event(author or targets[0].pubkey, created_at, 5, tags)

    return st.builds(
        request,
        st.lists(st.sampled_from(notes), min_size=1, max_size=3),
        st.none() | st.none() | st.sampled_from(_FEW),
        _time(),
        st.integers(0, 1),
    )


def _vanishing() -> st.SearchStrategy[Event]:
    """Requests to vanish, most of them for all relays."""
    relays = st.sampled_from(["ALL_RELAYS", "ALL_RELAYS", "wss://other.example/"])
    tags = relays.map(lambda relay: [["relay", relay]])
    return st.builds(_event, _author(), _time(), st.just(62), tags)


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Batches of random size, with sweeps in between."""
    notes = draw(st.lists(_notes, min_size=1, max_size=40))
    events = list(notes)
    requests = draw(st.lists(_requests(notes), max_size=8))
    for request in requests + draw(st.lists(_vanishing(), max_size=2)):
        events.insert(draw(st.integers(0, len(events))), request)
    steps: list[Step] = []
    while events:
        size = draw(st.sampled_from([1, 2, 3, 8, 50]))
        steps.append(tuple(events[:size]))
        del events[:size]
        if draw(st.integers(0, 4)) == 0:
            steps.append(Sweep(NOW + len(events) % 4))
    # Once more what came first: much of it is known, replaced or deleted by now.
    steps.append(tuple(notes[:10]))
    return steps


def long_history(random: Random, size: int) -> list[Step]:
    """
    Many events in some large batches, more than indexes are read in one piece.

    Args:
        random: Where chance comes from.
        size: About how many events.
    """
    authors = [*_FEW * 8, *AUTHORS]
    times = [NOW - random.randrange(size // 20) for _ in range(size // 5)]
    keys = [key.hex() for key in AUTHORS[:12]]
    events: list[Event] = []
    while len(events) < size:
        tags = [
            random.choice(
                [
                    ["t", random.choice(_T_VALUES)],
                    ["t", "a"],
                    ["T", random.choice("ab")],
                    ["p", random.choice(keys)],
                    ["d", str(random.randrange(size // 50))],
                    ["expiration", str(NOW + random.randrange(30))],
                ]
            )
            for _ in range(random.randrange(4))
        ]
        kind = random.choice([1, 1, 1, 7, 7, 0, 3, 1059, 10002, 30000, 30023, 30023])
        event = _event(random.choice(authors), random.choice(times), kind, tags)
        events.append(event)
        if random.random() < 0.02:
            target = random.choice(events)
            events.append(_event(target.pubkey, NOW, 5, [["e", target.id.hex()]]))
        if random.random() < 0.002:
            author, time = random.choice(AUTHORS), random.choice(times)
            events.append(_event(author, time, 62, [["relay", "ALL_RELAYS"]]))
    steps: list[Step] = []
    while events:
        batch = random.choice([7, 100, 1000])
        steps.append(tuple(events[:batch]))
        del events[:batch]
    steps.insert(len(steps) // 2, Sweep(NOW + 5))
    return steps


def events_of(steps: Sequence[Step]) -> list[Event]:
    """All events of a history."""
    return [event for step in steps if not isinstance(step, Sweep) for event in step]


def _some(pool: Sequence[_T], most: int = 4) -> st.SearchStrategy[tuple[_T, ...]]:
    """Up to ``most`` different values of the pool."""
    values = st.lists(st.sampled_from(pool), min_size=1, max_size=most, unique=True)
    return values.map(tuple)


def _maybe(strategy: st.SearchStrategy[_T]) -> st.SearchStrategy[_T | None]:
    return st.none() | st.none() | strategy


_conditions: Final = st.one_of(
    st.tuples(st.sampled_from("tTd"), _some([*_T_VALUES, *_D_VALUES, "z"])),
    st.tuples(st.just("d"), _some(_D_VALUES)),
    st.tuples(st.sampled_from("pe"), _some([key.hex() for key in AUTHORS[:6]])),
    st.tuples(st.sampled_from("pe"), st.just(tuple(key.hex() for key in AUTHORS))),
)

_LIMITS: Final = (None, None, 0, 1, 1, 2, 3, 5, 10, 1000)


def screens() -> st.SearchStrategy[Screen | None]:
    """Screens that hide some kinds from some readers, or none at all."""
    return st.none() | st.builds(
        Screen,
        st.sampled_from([None, *map(frozenset, ([1], [7, 30023], [0, 3, 1059], []))]),
        _some(AUTHORS, 30),
        st.booleans(),
    )


def filters(
    events: Sequence[Event], limits: Sequence[int | None] = _LIMITS
) -> st.SearchStrategy[Filter]:
    """Filters of all forms, most of which find some of ``events``."""
    ids = [event.id for event in events]
    return st.builds(
        Filter,
        ids=st.one_of(
            st.none(),
            st.none(),
            st.none(),
            _some([*ids, b"same" + bytes(28), b"\xff" * 32], 8),
            st.just(tuple(dict.fromkeys(ids))),
        ),
        authors=_maybe(
            st.one_of(
                _some(_FEW),
                _some(AUTHORS, 20),
                st.sampled_from([tuple(AUTHORS), tuple(AUTHORS[:66]), _STRANGERS, ()]),
            )
        ),
        kinds=_maybe(
            st.one_of(
                _some([*_KINDS, 5]),
                _some([0, 10002]),
                _some([30000, 30023]),
                st.sampled_from([tuple(_KINDS), tuple(range(40)), (2**16, -1, 1), ()]),
            )
        ),
        tags=st.lists(_conditions, max_size=2, unique_by=lambda pair: pair[0]).map(
            tuple
        ),
        since=_maybe(_time() | st.sampled_from([-1, 2**41, 2**64])),
        until=_maybe(_time() | st.sampled_from([-1, 2**41, 2**64])),
        limit=st.sampled_from(limits),
        whole_seconds=st.booleans(),
    )
