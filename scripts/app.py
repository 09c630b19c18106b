"""The page to upscale and degrade photos on; see realciao/commands/app.py."""

from realciao.commands.app import main

if __name__ == "__main__":
    main()
