"""
Negentropy, protocol version 1: how two parties find out what sets they hold (NIP-77).

Each side seals what it holds in a ``snapshot``. One side initiates, the other
answers (``reconciliation``) with ``messages`` that name ranges of the sets by their
upper ``bound`` and give a fingerprint or the ids of each. Numbers are ``varint``.

Pure: no I/O and no clock.
"""
