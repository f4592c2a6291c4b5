"""What the three stand-ins share: the server, its clock, limits, faults and people."""
