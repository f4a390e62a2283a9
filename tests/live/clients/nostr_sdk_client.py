"""
Uses a relay as an application does, with nostr-sdk, and prints what it saw as JSON.

python nostr_sdk_client.py ws://127.0.0.1:7447/
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import timedelta
from typing import Any

from nostr_sdk import (
    Client,
    ClientNotification,
    Event,
    EventBuilder,
    Filter,
    Keys,
    Kind,
    RelayUrl,
    ReqTarget,
    Tag,
    Timestamp,
)

_PATIENCE = timedelta(seconds=20)


class _Application:
    def __init__(self, url: str) -> None:
        self._url = RelayUrl.parse(url)
        self._keys = Keys.generate()
        self._now = int(time.time())
        self.publisher = Client()
        self.reader = Client()

    async def connect(self) -> None:
        for client in (self.publisher, self.reader):
            await client.add_relay(self._url)
            await client.connect(_PATIENCE)

    def sign(self, kind: int, content: str, *tags: list[str], age: int = 0) -> Event:
        builder = EventBuilder(Kind(kind), content)
        builder = builder.tags([Tag.parse(tag) for tag in tags])
        builder = builder.custom_created_at(Timestamp.from_secs(self._now - age))
        return builder.finalize(self._keys)

    async def publish(self, event: Event) -> str:
        """What the relay says against it; empty if it is accepted."""
        output = await self.publisher.send_event(event)
        return "" if output.success else next(iter(output.failed.values()))

    def target(self, filter_: dict[str, Any]) -> ReqTarget:
        filter_ = {"authors": [self._keys.public_key().to_hex()], **filter_}
        return ReqTarget.auto([Filter.from_json(json.dumps(filter_))])

    async def query(self, filter_: dict[str, Any]) -> list[str]:
        events = await self.reader.fetch_events(self.target(filter_), _PATIENCE)
        return [event.id().to_hex() for event in events]


async def main(url: str) -> dict[str, Any]:
    """Publish, subscribe, query, replace and delete; what came of it."""
    app = _Application(url)
    await app.connect()
    seen: dict[str, Any] = {}

    notifications = app.reader.notifications()
    await app.reader.subscribe(app.target({"kinds": [1]}))
    notes = [app.sign(1, text) for text in ("one", "два", "三 🚀")]
    seen["published"] = [note.id().to_hex() for note in notes]
    seen["refused"] = [await app.publish(note) for note in notes]
    live: list[str] = []
    while len(live) < 3:
        found = await asyncio.wait_for(notifications.next(), 20)
        if isinstance(found, ClientNotification.NEW_EVENT):
            live.append(found.event.content())
    seen["live"] = sorted(live)
    seen["stored"] = await app.query({"kinds": [1]})

    old = app.sign(0, '{"name":"old"}', age=10)
    new = app.sign(0, '{"name":"new"}')
    seen["refused"] += [await app.publish(old), await app.publish(new)]
    seen["profiles"] = await app.query({"kinds": [0]})
    seen["newest"] = new.id().to_hex()
    seen["older"] = await app.publish(old)

    deletion = app.sign(5, "", ["e", notes[0].id().to_hex()])
    seen["refused"].append(await app.publish(deletion))
    seen["afterDeletion"] = await app.query({"kinds": [1]})
    seen["deleted"] = await app.publish(notes[0])
    await app.publisher.shutdown()
    await app.reader.shutdown()
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
