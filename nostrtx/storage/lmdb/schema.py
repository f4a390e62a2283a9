# -*- test-case-name: tests.storage.test_lmdb_schema -*-
"""
The databases of the embedded store, and opening them.

============  =======================================  ==========================
database      key                                      value
============  =======================================  ==========================
events        ``seq``                                  the event's JSON
ids           id                                       posting
authors       pubkey, kind                             postings
kinds         kind                                     postings
tags          letter, value, kind                      postings, regular kinds
times         first three bytes of a posting           postings with the full id
addresses     pubkey, kind, ``d``                      slot
slots         slot                                     posting, tags are plain,
                                                       pubkey
slot_of       ``seq``                                  slot
slot_tags     letter, value, kind                      slots, kinds with address
marks         what was deleted, and by whom;           until when
              who has vanished
expiries      expiration, ``seq``                      posting
bans          kind and subject of a ban                number of its last change
ban_changes   number of a change                       the change, as JSON
records       name                                     what is kept under it
meta          name                                     version, counters, identity
============  =======================================  ==========================

An address keeps its slot from version to version, and its tags name the slot: so a
long list that replaces its predecessor writes no more than what differs.

A database that a store does not have yet is made when the store is opened, and one
that is not known is left alone: so a further one needs no new version.
"""

from __future__ import annotations

import os
from typing import Any, Final
from uuid import uuid4

import attrs
import lmdb

from nostrtx.interfaces.store import StoreUnusable

#: The layout of all of this; a store of another version is not opened.
VERSION: Final = b"2"

#: Where ``last_seq`` and the last slot stand in ``meta``, five bytes each.
COUNTERS: Final = b"counters"

_VERSION_KEY: Final = b"version"
_IDENTITY_KEY: Final = b"identity"

#: One for every stored query that is still looking for its events.
_MAX_READERS: Final = 4096


@attrs.frozen
class Databases:
    """
    An open environment and its databases, as the table above names them.

    Attributes:
        env: The environment.
        identity: Tells this store from all others.
        events: And the following: handles of the databases.
    """

    env: Any
    identity: str
    events: Any
    ids: Any
    authors: Any
    kinds: Any
    tags: Any
    times: Any
    addresses: Any
    slots: Any
    slot_of: Any
    slot_tags: Any
    marks: Any
    expiries: Any
    bans: Any
    ban_changes: Any
    records: Any
    meta: Any


_SORTED: Final = frozenset({"authors", "kinds", "tags", "times", "slot_tags"})


def sizes_of(databases: Databases) -> dict[str, int]:
    """How many bytes each database takes, and ``free``, what none of them does."""
    env = databases.env
    sizes = {}
    with env.begin() as txn:
        for field in attrs.fields(Databases)[2:]:
            stat = txn.stat(getattr(databases, field.name))
            pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            sizes[field.name] = pages * stat["psize"]
        in_file = (env.info()["last_pgno"] + 1) * stat["psize"]
    sizes["free"] = max(0, in_file - sum(sizes.values()))
    return sizes


def open_databases(path: str, max_bytes: int) -> Databases:
    """
    Open the store in the directory ``path``; make it if there is none.

    Args:
        path: The directory.
        max_bytes: Most that the store may grow to. The file is only as large as
            what it holds.

    Raises:
        StoreUnusable: It cannot be opened, or another version made it.
    """
    if os.path.exists(path) and not os.path.isdir(path):
        raise StoreUnusable(f"{path} is a file; the store needs a directory")
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        env = lmdb.open(
            path, map_size=max_bytes, max_dbs=32, max_readers=_MAX_READERS, mode=0o600
        )
    except OSError as error:
        raise StoreUnusable(f"cannot make {path}: {error.strerror}") from None
    except lmdb.InvalidError:
        raise StoreUnusable(
            f"{path}/data.mdb is not a store of events; name another directory"
        ) from None
    except lmdb.Error as error:
        raise StoreUnusable(f"cannot open the store: {error}") from None
    try:
        env.reader_check()
        return _databases(path, env)
    except lmdb.Error as error:
        env.close()
        raise StoreUnusable(f"cannot open the store in {path}: {error}") from None
    except StoreUnusable:
        env.close()
        raise


def _databases(path: str, env: Any) -> Databases:
    with env.begin(write=True) as txn:
        is_new = env.stat()["entries"] == 0
        try:
            meta = env.open_db(b"meta", txn, create=is_new)
        except lmdb.NotFoundError:
            meta = None
        if is_new:
            txn.put(_VERSION_KEY, VERSION, db=meta)
            txn.put(COUNTERS, bytes(10), db=meta)
        version = None if meta is None else txn.get(_VERSION_KEY, db=meta)
        if version is None:
            raise StoreUnusable(f"{path} holds other data; name another directory")
        if version != VERSION:
            raise StoreUnusable(
                f"{path} was made by another version of nostrtx (layout"
                f" {version.decode(errors='replace')}, this one has"
                f" {VERSION.decode()}): export it with that version and import the"
                " events with this one"
            )
        if txn.get(_IDENTITY_KEY, db=meta) is None:
            txn.put(_IDENTITY_KEY, uuid4().hex.encode(), db=meta)
        identity = txn.get(_IDENTITY_KEY, db=meta).decode()
        names = [field.name for field in attrs.fields(Databases)][2:-1]
        handles = {
            name: env.open_db(
                name.encode(), txn, dupsort=name in _SORTED, dupfixed=name in _SORTED
            )
            for name in names
        }
    return Databases(env=env, identity=identity, meta=meta, **handles)
