# -*- test-case-name: tests.test_consistency -*-
"""Settings that are good by themselves, but not together."""

from __future__ import annotations

from nostrtx.nostr.relay_url import RelayURLError, parse_relay_url
from nostrtx.settings.file import ConfigError
from nostrtx.settings.policies import table_faults
from nostrtx.settings.programs import program_faults
from nostrtx.settings.tree import Settings


def inconsistencies(settings: Settings) -> list[str]:
    """What is missing that other settings need, in one line each."""
    faults = []
    if settings.discovery.announce:
        try:
            parse_relay_url(settings.relay.url)
        except RelayURLError as error:
            faults.append(f"relay.url: needed for discovery.announce: {error}")
    if settings.signs and settings.store.is_shared and settings.key_file is None:
        faults.append(
            "relay.key_file: needed for what the relay signs, since the store is a"
            " PostgreSQL: a file with the same key on every node"
        )
    if settings.listen.takeover and settings.store.url == "memory:":
        faults.append("listen.takeover: a store in memory cannot be handed over")
    faults += table_faults(settings.rules, settings.lists, bool(settings.trust.roots))
    faults += program_faults(settings.programs, settings.plugins)
    return faults


def check_consistency(settings: Settings) -> None:
    """
    Make sure that nothing is missing which other settings need.

    Raises:
        ConfigError: Something is; the text says what, in one line each.
    """
    faults = inconsistencies(settings)
    if faults:
        raise ConfigError("\n".join(faults))
