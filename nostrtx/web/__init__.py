"""The edge: WebSocket and HTTP on one port."""
