"""Operators that read leads from where no CRM is."""
