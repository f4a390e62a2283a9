"""
What clients notice when one relay process takes over from another.

Ten clients publish one event after the other, and connect again at once when they are
sent away; two subscribers must get all of them. Prints what it found as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from tests.live.client import connect
from tests.live.reactor import reactor
from tests.live.relay_process import RelayProcess
from tests.live.steady import SteadyPublisher, SteadySubscriber

_PUBLISHERS = 10
_SUBSCRIBERS = 2
_BEFORE_SECONDS = 2.0
_AFTER_SECONDS = 1.0


@attrs.frozen
class _Place:
    """Where clients connect."""

    url: str
    address: tuple[str, int]


class _Answers:
    """When anybody was answered."""

    def __init__(self) -> None:
        self.longest_gap = 0.0
        self._last = reactor.seconds()

    def note(self) -> None:
        """Somebody is answered."""
        now = reactor.seconds()
        self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now


class _Publisher(SteadyPublisher):
    """One of the clients."""

    answers: _Answers

    def take(self, message: list[Any]) -> None:
        """Take note of an answer."""
        self.answers.note()
        super().take(message)


def _gaps(answers: _Answers, publishers: Sequence[_Publisher]) -> dict[str, float]:
    """The longest times without an answer, in ms, since this was asked last."""
    gaps = sorted(1000 * each.longest_gap for each in publishers)
    anybody = 1000 * answers.longest_gap
    answers.longest_gap = 0.0
    for each in publishers:
        each.longest_gap = 0.0
    return {"client": gaps[-1], "median": gaps[len(gaps) // 2], "anybody": anybody}


async def _measure(directory: Path, port: int, options: Sequence[str]) -> None:
    place = _Place(f"ws://127.0.0.1:{port}/", ("127.0.0.1", port))
    subscribers = [SteadySubscriber(place) for _ in range(_SUBSCRIBERS)]
    for subscriber in subscribers:
        await subscriber.start()
        await subscriber.ready
    answers = _Answers()
    publishers = [_Publisher(place, f"client {n}", 1) for n in range(_PUBLISHERS)]
    for publisher in publishers:
        publisher.answers = answers
        await publisher.start()
    await deferLater(reactor, _BEFORE_SECONDS)
    before = _gaps(answers, publishers)
    published = sum(len(each.accepted) for each in publishers)
    begun = reactor.seconds()
    successor = await RelayProcess.spawn(directory, ["nostr-relay", *options])
    try:
        start_seconds = reactor.seconds() - begun
        everybody = [*publishers, *subscribers]
        while not all(each.closings for each in everybody):
            await deferLater(reactor, 0.05)
        await deferLater(reactor, _AFTER_SECONDS)
        during = _gaps(answers, publishers)
        for publisher in publishers:
            await publisher.finish()
        accepted = {id_ for each in publishers for id_ in each.accepted}
        for _ in range(100):
            if all(accepted <= each.seen for each in subscribers):
                break
            await deferLater(reactor, 0.1)
        for subscriber in subscribers:
            await subscriber.stop()
        stored = await (await connect(place)).by_id(sorted(accepted))
        lost = [
            f"{len(accepted - each.seen)} events never came to a subscriber"
            for each in subscribers
            if accepted - each.seen
        ]
        if accepted - stored.keys():
            lost.append(f"{len(accepted - stored.keys())} events are not stored")
        refused = sum(len(each.refused) for each in publishers)
        lost += [f"{refused} events were refused"] * bool(refused)
        lost += [f"a client: {each.trouble}" for each in everybody if each.trouble]
    finally:
        await successor.stop()
    found = {
        "before_ms": before,
        "during_ms": during,
        "events_per_s": published / _BEFORE_SECONDS,
        "start_seconds": start_seconds,
        "problems": lost,
    }
    print(json.dumps(found))


def _main(_: object, directory: str, port: str, *options: str) -> Deferred[None]:
    return Deferred.fromCoroutine(_measure(Path(directory), int(port), options))


if __name__ == "__main__":
    react(_main, sys.argv[1:])
