"""Tests for :mod:`nostrtx.relay.policies.programs`."""
