"""Option files: YAML with the place of every value, and the typed options that come of it."""
