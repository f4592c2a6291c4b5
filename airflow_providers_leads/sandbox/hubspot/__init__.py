"""HubSpot's stand-in."""
