"""
Synchronizes with a relay by nostr-sdk (NIP-77), and prints what came of it as JSON.

python nostr_sdk_sync.py EVENTS DIRECTORY DIRECTION ws://127.0.0.1:7447/

EVENTS is a file of events, one a line, that the client holds in DIRECTORY.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from nostr_sdk import (
    ClientBuilder,
    Event,
    Filter,
    NostrLmdb,
    RelayUrl,
    SyncDirection,
    SyncOptions,
)
from nostr_sdk.nostr_sdk import uniffi_set_event_loop


async def main(events: str, directory: str, direction: str, url: str) -> dict[str, Any]:
    """Synchronize; how many events were known, sent, received, and are held then."""
    # The library calls the database back from threads of its own.
    uniffi_set_event_loop(asyncio.get_running_loop())
    database = await NostrLmdb.open(directory)
    for line in Path(events).read_text().splitlines():
        await database.save_event(Event.from_json(line))
    client = ClientBuilder().database(database).build()
    await client.add_relay(RelayUrl.parse(url))
    await client.connect(timedelta(seconds=20))
    options = SyncOptions().direction(SyncDirection[direction])
    output = await client.sync(Filter(), None, options)
    report = output.report
    seen = {
        "local": len(report.local),
        "remote": len(report.remote),
        "sent": len(report.sent),
        "received": len(report.received),
        "failed": list(output.failed.values()),
        "held": await database.count(Filter()),
    }
    await client.shutdown()
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
