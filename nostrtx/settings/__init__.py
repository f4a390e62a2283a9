"""Settings: their tables, what they may be, and the file they stand in."""
