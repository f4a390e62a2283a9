"""Tests of nostrtx.relay."""
