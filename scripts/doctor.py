"""Looks at the environment: `python scripts/doctor.py --help`."""

from realciao.commands.doctor import main

if __name__ == "__main__":
    main()
