"""Ways of reading all contacts of a large account."""
