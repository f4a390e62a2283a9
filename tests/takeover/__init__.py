"""Tests for :mod:`nostrtx.takeover`."""
