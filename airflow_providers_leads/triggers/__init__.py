"""Triggers: deferred sensors poll in them, and assets are watched by them."""
