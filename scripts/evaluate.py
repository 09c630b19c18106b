"""Scores a folder of results; see realciao/commands/evaluate.py."""

from realciao.commands.evaluate import main

if __name__ == "__main__":
    main()
