"""Leads out of files that people have: which column is what, and rows of text into rows of leads."""
