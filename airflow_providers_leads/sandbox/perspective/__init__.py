"""Perspective's stand-in."""
