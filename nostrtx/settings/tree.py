# -*- test-case-name: tests.settings.test_file -*-
"""
Settings: a tree of frozen values, one class for each table of the settings file.

Every setting has a default, so an empty file (or none) is a working relay on the
loopback interface. Units stand in the names. The limits that the information
document announces (NIP-11) are the very fields that are enforced.
"""

from __future__ import annotations

import os

import attrs

from nostrtx.settings.access import (
    AuthSettings,
    GroupSettings,
    ManagementSettings,
    MembershipSettings,
    Nip05Settings,
)
from nostrtx.settings.edge import (
    AdminSettings,
    ListenSettings,
    LogSettings,
    WebSocketSettings,
)
from nostrtx.settings.identity import DiscoverySettings, RelaySettings
from nostrtx.settings.limits import (
    IngestSettings,
    LimitSettings,
    NegentropySettings,
    TimingSettings,
)
from nostrtx.settings.policies import ListSettings, RuleSettings, TrustSettings
from nostrtx.settings.programs import PluginSettings, ProgramSettings
from nostrtx.settings.rates import RateSettings
from nostrtx.settings.storing import ClusterSettings, SearchSettings, StoreSettings


@attrs.frozen
class Settings:
    """
    All settings, one attribute per table of the TOML file.

    A dictionary stands for tables with names (``[lists.NAME]``), a tuple for an array
    of tables (``[[rules]]``).
    """

    relay: RelaySettings = RelaySettings()
    listen: ListenSettings = ListenSettings()
    store: StoreSettings = StoreSettings()
    limits: LimitSettings = LimitSettings()
    rates: RateSettings = RateSettings()
    timing: TimingSettings = TimingSettings()
    ingest: IngestSettings = IngestSettings()
    auth: AuthSettings = AuthSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    search: SearchSettings = SearchSettings()
    membership: MembershipSettings = MembershipSettings()
    nip05: Nip05Settings = Nip05Settings()
    discovery: DiscoverySettings = DiscoverySettings()
    groups: GroupSettings = GroupSettings()
    negentropy: NegentropySettings = NegentropySettings()
    cluster: ClusterSettings = ClusterSettings()
    management: ManagementSettings = ManagementSettings()
    log: LogSettings = LogSettings()
    admin: AdminSettings = AdminSettings()
    trust: TrustSettings = TrustSettings()
    lists: dict[str, ListSettings] = attrs.field(factory=dict)
    rules: tuple[RuleSettings, ...] = ()
    programs: tuple[ProgramSettings, ...] = ()
    plugins: tuple[PluginSettings, ...] = ()

    @property
    def key_file(self) -> str | None:
        """Where the relay's own key lies; None if it is forgotten on exit."""
        return self.relay.key_file or self._beside_store("relay.key")

    @property
    def membership_file(self) -> str | None:
        """
        The file in which members and codes are kept.

        None if they are in a shared store, or forgotten on exit as those in memory.
        """
        return self.membership.file or self._beside_store("membership.sqlite")

    @property
    def signs(self) -> bool:
        """Whether the relay signs anything, so that it needs a key of its own."""
        return self.discovery.announce or self.membership.enabled or self.groups.enabled

    def _beside_store(self, name: str) -> str | None:
        directory = self.store.directory
        return None if directory is None else os.path.join(directory, name)
