"""Tests of nostrtx.sync."""
