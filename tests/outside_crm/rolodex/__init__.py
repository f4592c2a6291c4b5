"""Rolodex, a small CRM."""
