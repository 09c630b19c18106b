"""From a photo to a larger one: tiles, bands of rows, sizes, and what is done around the network."""
