"""Prepares data sets: `python scripts/prepare_data.py --help`."""

from realciao.commands.prepare_data import main

if __name__ == "__main__":
    main()
