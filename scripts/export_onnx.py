"""Writes networks as ONNX; see realciao/commands/export_onnx.py."""

from realciao.commands.export_onnx import main

if __name__ == "__main__":
    main()
