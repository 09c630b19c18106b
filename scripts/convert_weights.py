"""Converts checkpoints; see realciao/commands/convert_weights.py."""

from realciao.commands.convert_weights import main

if __name__ == "__main__":
    main()
