"""What keeps a gateway running for months: keys, limits, breakers, measures, reloads, an end."""
