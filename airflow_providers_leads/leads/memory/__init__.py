"""What a sync remembers from one run to the next."""
