"""Kills a run again and again; see realciao/commands/torture.py."""

from realciao.commands.torture import main

if __name__ == "__main__":
    main()
