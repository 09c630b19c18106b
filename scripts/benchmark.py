"""Measures; see realciao/commands/benchmark.py."""

from realciao.commands.benchmark import main

if __name__ == "__main__":
    main()
