"""The commands: each module parses its arguments at once, imports what is heavy after that, and makes one call."""
