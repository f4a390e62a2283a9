"""Tests for :mod:`nostrtx.storage.search`."""
