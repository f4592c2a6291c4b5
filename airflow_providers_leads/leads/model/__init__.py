"""What a lead is, who is the same person, and what became of a row."""
