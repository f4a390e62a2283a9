# -*- test-case-name: tests.cli.test_checking -*-
"""What ``nostrtx check-config`` finds in settings, and in what they lead to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any

from nostrtx.broadcast.opening import open_broadcaster
from nostrtx.cli.endpoint_findings import endpoint_findings
from nostrtx.cli.file_findings import not_to_be_made, not_writable
from nostrtx.cli.finding import Finding
from nostrtx.cli.policy_findings import policy_findings
from nostrtx.consistency import inconsistencies
from nostrtx.interfaces.register import RegisterError
from nostrtx.interfaces.store import StoreUnusable
from nostrtx.relay.own_key import KeyUnusable, OwnKey
from nostrtx.settings.file import ConfigError
from nostrtx.settings.tree import Settings
from nostrtx.storage.opening import open_store
from nostrtx.storage.register_opening import register_database


def findings(settings: Settings, reactor: Any) -> Iterator[Finding]:
    """
    Why a relay would not serve with these settings, and what else is remarkable.

    Nothing is opened, made, or connected to; files are read.

    Args:
        settings: As read from a file, so each of them is good by itself.
        reactor: Is asked for the time at most.
    """
    for fault in (
        *inconsistencies(settings),
        *_store_faults(settings, reactor),
        *_cluster_faults(settings, reactor),
    ):
        yield Finding(fault)
    yield from endpoint_findings(settings, datetime.now(UTC))
    yield from _key_findings(settings)
    for fault in _register_faults(settings):
        yield Finding(fault)
    yield from policy_findings(settings, reactor)


def _store_faults(settings: Settings, reactor: Any) -> Iterator[str]:
    try:
        open_store(settings.store.url, settings.store, reactor, lambda request: False)
    except StoreUnusable as error:
        yield f"store.url: {error}"
        return
    path = settings.store.directory
    if path is None:
        return
    if not os.path.lexists(path):
        why = not_to_be_made(path, with_parents=True)
    elif not os.path.isdir(path):
        why = f"{path} is no directory"
    else:
        why = not_writable(path)
        for name in ("data.mdb", "lock.mdb"):
            file = os.path.join(path, name)
            if not why and os.path.exists(file):
                why = not_writable(file)
    if why:
        yield f"store.url: {why}"


def _cluster_faults(settings: Settings, reactor: Any) -> Iterator[str]:
    cluster = settings.cluster
    workers = cluster.workers or len(os.sched_getaffinity(0))
    if workers > 1 and settings.store.url == "memory:":
        yield "cluster.workers: a store in memory cannot be shared"
    try:
        open_broadcaster(
            cluster,
            cluster.node or "check-config",
            settings.store.directory is not None,
            {},
            reactor,
            token_bytes,
            os.environ,
            lambda error: None,
        )
    except ConfigError as error:
        yield str(error)


def _key_findings(settings: Settings) -> Iterator[Finding]:
    path = settings.key_file
    if not settings.signs or path is None:
        return
    if os.path.exists(path):
        try:
            OwnKey(path, token_bytes).load()
        except KeyUnusable as error:
            yield Finding(f"relay.key_file: {error}")
        if os.stat(path).st_mode & 0o077:
            yield Finding(f"relay.key_file: others can read {path}", is_fault=False)
    elif why := _not_beside_store(path, settings):
        yield Finding(f"relay.key_file: {why}")


def _register_faults(settings: Settings) -> Iterator[str]:
    if not settings.membership.enabled:
        return
    try:
        register_database(settings)
    except RegisterError as error:
        yield f"membership.enabled: {error}"
    path = settings.membership_file
    if path is None:
        return
    if os.path.lexists(path):
        # SQLite makes other files beside it.
        why = not_writable(path) or not_writable(os.path.dirname(path) or ".")
    else:
        why = _not_beside_store(path, settings)
    if why:
        yield f"membership.file: {why}"


def _not_beside_store(path: str, settings: Settings) -> str:
    """Why a file cannot be made, unless the store will make its directory."""
    directory = settings.store.directory
    is_there = directory and os.path.dirname(path) == os.path.normpath(directory)
    return "" if is_there else not_to_be_made(path)
