"""Data sets before training: cut, packed, and looked through."""
