"""Upscales photos; see realciao/commands/infer.py."""

from realciao.commands.infer import main

if __name__ == "__main__":
    main()
