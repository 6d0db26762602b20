"""The page at `/`: ask the pool, and watch it vote."""
