"""Programs that are asked which events to take, in the way of strfry's plugins."""
