"""Shows what a CiaoSR attends to; see realciao/commands/show_attention.py."""

from realciao.commands.show_attention import main

if __name__ == "__main__":
    main()
