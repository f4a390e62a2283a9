"""Where events are kept: in memory, or in an embedded LMDB environment."""
