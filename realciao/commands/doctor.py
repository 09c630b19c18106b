"""Looks at the environment: what is wrong with it, and how to mend it."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence

from realciao.cli import Parser, command

SIGNS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="doctor.py", description=f"{__doc__} The exit status is 1 where something will not work.")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    from realciao.doctor import examine

    findings = []
    width = shutil.get_terminal_size((100, 24)).columns
    for finding in examine():
        findings.append(finding)
        if not args.json:
            print(f"{SIGNS[finding.state]}  {finding.name}: {finding.found}", flush=True)
            if finding.cure:
                print(textwrap.fill(finding.cure, width, initial_indent="      -> ", subsequent_indent="         "))
    failed = sum(finding.state == "fail" for finding in findings)
    if args.json:
        print(json.dumps({"failed": failed, "findings": [finding._asdict() for finding in findings]}, indent=1))
    else:
        warned = sum(finding.state == "warn" for finding in findings)
        print(f"{len(findings)} looks: {failed} failed, {warned} warnings")
    return 1 if failed else 0
