"""Tests for :mod:`nostrtx.relay.groups`."""
