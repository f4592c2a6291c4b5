"""Sensors that wait for leads, in a worker's slot or deferred to the triggerer."""
