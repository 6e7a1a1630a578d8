"""Compares policies over traces: `python -m tercio_scaling.simulation [--seed N] [TRACE or FILE.csv ...]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tercio_scaling.simulation.report import compare, lines, missed_bars
from tercio_scaling.simulation.traces import TRACES, read_csv


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; exit code 1 when a seeded trace misses a bar, 2 when a trace cannot be read."""
    parser = argparse.ArgumentParser(description="Compare scaling policies over traces of work.")
    parser.add_argument("traces", nargs="*", default=list(TRACES), help="names of seeded traces, or CSV files")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    missed: list[str] = []
    for name in options.traces:
        try:
            trace = TRACES[name](options.seed) if name in TRACES else read_csv(Path(name))
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{error}; seeded traces are {', '.join(TRACES)}\n")
            return 2
        played = compare(trace)
        sys.stdout.write("\n".join(lines(trace.name, played)) + "\n\n")
        missed += missed_bars(name, played) if name in TRACES else ()
    sys.stdout.writelines(f"missed: {each}\n" for each in missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
