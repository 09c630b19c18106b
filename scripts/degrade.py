"""Degrades images by a recipe: `python scripts/degrade.py --help`."""

from realciao.commands.degrade import main

if __name__ == "__main__":
    main()
