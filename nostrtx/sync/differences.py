# -*- test-case-name: tests.sync.test_synchronization -*-
"""
What either side holds that the other lacks, by reconciliation (NIP-77).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from twisted.internet.task import deferLater

from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.negentropy.reconciliation import Initiator, Reconciled
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.sync.conversation import Conversation, RelayTrouble

#: A relay that has not come to an end after so many messages never will: ids of
#: millions of events fit in these.
_MAX_ROUNDS: Final = 100_000

#: How many ids a relay may name; half a gigabyte holds them.
MOST_IDS: Final = 5_000_000

#: How long an answer is worked on in one turn of the reactor, in seconds.
_SLICE_SECONDS: Final = 0.02


@attrs.define
class Differences:
    """
    What was found out.

    Attributes:
        have: Ids of what only our side holds.
        need: Ids of what only the other side holds, if it says the truth.
    """

    have: set[bytes] = attrs.field(factory=set)
    need: set[bytes] = attrs.field(factory=set)


async def reconcile(
    conversation: Conversation,
    asked: Filter,
    held: Snapshot,
    frame_bytes: int,
    clock: Any,
    progress: Callable[[Differences], None],
    most: int = MOST_IDS,
) -> Differences:
    """
    Find out what either side lacks of what matches ``asked``.

    Args:
        conversation: With the relay.
        asked: What to compare.
        held: What our side holds of it.
        frame_bytes: The longest message to send, before it is hexadecimal.
        clock: The reactor.
        progress: Called after each message with what is known by then.
        most: How many events the relay may name that our side lacks.

    Raises:
        RelayTrouble: The relay does not do its part.
    """
    found = Differences()
    initiator = Initiator(held, frame_bytes)
    name, answer = await conversation.open_reconciliation(
        filter_members(asked), initiator.initiate()
    )
    try:
        for _ in range(_MAX_ROUNDS):
            try:
                reconciled = await _worked_out(initiator, answer, clock)
            except Rejected as refusal:
                raise RelayTrouble(f"the relay's answer: {refusal.message}") from None
            found.have.update(reconciled.have)
            found.need.update(reconciled.need)
            if len(found.need) > most:
                raise RelayTrouble(
                    f"the relay has more than {most:,} events that are not here; name"
                    " a part of them with --filter"
                )
            progress(found)
            if reconciled.message is None:
                return found
            answer = await conversation.reconcile(name, reconciled.message)
        raise RelayTrouble("the relay never comes to an end of reconciling")
    finally:
        conversation.close_reconciliation(name)


async def _worked_out(initiator: Initiator, answer: bytes, clock: Any) -> Reconciled:
    steps = initiator.reconcile_in_steps(answer)
    until = clock.seconds() + _SLICE_SECONDS
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            reconciled: Reconciled = finished.value
            return reconciled
        if clock.seconds() >= until:
            await deferLater(clock, 0)
            until = clock.seconds() + _SLICE_SECONDS


def filter_members(asked: Filter) -> dict[str, object]:
    """The JSON object that describes ``asked`` (NIP-01)."""
    members: dict[str, object] = {}
    if asked.ids is not None:
        members["ids"] = [id_.hex() for id_ in asked.ids]
    if asked.authors is not None:
        members["authors"] = [author.hex() for author in asked.authors]
    if asked.kinds is not None:
        members["kinds"] = list(asked.kinds)
    for letter, values in asked.tags:
        members[f"#{letter}"] = list(values)
    for name in ("since", "until", "limit"):
        value = getattr(asked, name)
        if value is not None:
            members[name] = value
    return members
