"""PersistIQ's stand-in."""
