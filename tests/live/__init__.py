"""Tests with real sockets, processes, clients and disks."""
