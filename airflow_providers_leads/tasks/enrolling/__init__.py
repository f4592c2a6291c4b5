"""Leads into campaigns and lists."""
