"""`python -m charkh.demo`: live through the flights year and leave a report."""

import argparse
import os
import sys
import time
from pathlib import Path

from charkh.core.errors import CharkhError
from charkh.demo.report import report
from charkh.demo.year import live_through


def main() -> int:
    """Run the demo; the exit status."""
    parser = argparse.ArgumentParser(prog="charkh.demo", description="The flights year, in a few minutes.")
    parser.add_argument("--folder", type=Path, default=Path("demo-output"), help="made anew (default: demo-output)")
    chosen = parser.parse_args()
    # Training and serving share the cores: threads of one training that wait for one another cost more than they give.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begin = time.perf_counter()

    def say(line: str) -> None:
        sys.stdout.write(f"[{time.perf_counter() - begin:5.1f} s] {line}\n")
        sys.stdout.flush()

    say("the flights year: 336,776 flights from New York in 2013, month by month")
    try:
        story = live_through(chosen.folder.resolve(), say)
    except CharkhError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    page = chosen.folder / "report.html"
    page.write_text(report(story), encoding="utf-8")
    say(f"done. The report: {page}")
    for line in following(chosen.folder, story.traced):
        sys.stdout.write(f"{line}\n")
    return 0


def following(folder: Path, prediction: str) -> list[str]:
    """What to try next, one line each."""
    charkh = f"charkh -C {folder}"
    return [
        "",
        "what to try next:",
        f"  {charkh} up                                   # the same in a browser, and an MLflow server",
        f"  {charkh} model history delay                  # every decision, by whom and why",
        f"  {charkh} loop page delay                      # the newest one on a page: trigger, gate, trial",
        f"  {charkh} run group \"project = 'flights/seeds'\" --metric 'max(metrics.auc)'",
        f"  {charkh} trace {prediction}",
        f"  {charkh} card lint delay@champion --strict    # what its card lacks, and what to do",
        f"  open {folder / 'left' / 'annex-iv.html'}      # technical documentation, filled from the record",
    ]


if __name__ == "__main__":
    sys.exit(main())
