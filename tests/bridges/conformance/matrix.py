"""The matrix of the conformance suite in docs/guides/open-inference.md, as measured.

python -m tests.bridges.conformance.matrix    # measures both servers again and rewrites the page's table
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.bridges.conformance.servers import charkh, mlserver

from charkh.endpoints.conformance.examine import examine
from charkh.endpoints.conformance.probe import Report

PAGE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "open-inference.md"
BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"


def rows(reports: Mapping[str, Report]) -> list[str]:
    """The table's lines: a probe, and for each server whether it holds for every model that gives occasion."""
    names = list(reports)
    lines = [f"| probe | what must hold | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    first = reports[names[0]]
    for probe in dict.fromkeys(each.probe for each in first.verdicts):
        says = next(each.says for each in first.verdicts if each.probe == probe)
        lines.append(f"| `{probe}` | {says} | {' | '.join(_cell(reports[name], probe) for name in names)} |")
    return lines


def _cell(report: Report, probe: str) -> str:
    found = [each for each in report.verdicts if each.probe == probe and each.outcome != "skip"]
    failed = next((each for each in found if each.outcome == "fail"), None)
    if failed is not None:
        passed = any(each.outcome == "pass" for each in found)
        part = (
            f"only {', '.join(each.model for each in found if each.outcome == 'pass')}; {failed.model}"
            if passed
            else "no"
        )
        return f"{part}: {failed.why}".replace("|", "\\|")
    return "yes" if found else "not asked"


def published() -> list[str]:
    """The table that the page has now."""
    text = PAGE.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip().splitlines()


def main() -> int:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder, charkh() as ours, mlserver(Path(folder)) as theirs:
        reports = {"charkh": examine(ours, control=True), "MLServer 1.7.1": examine(theirs, control=True)}
    text = PAGE.read_text()
    table = "\n".join(rows(reports))
    PAGE.write_text(f"{text[: text.index(BEGIN)]}{BEGIN}\n{table}\n{text[text.index(END) :]}")
    return int(bool(reports["charkh"].failed))


if __name__ == "__main__":
    sys.exit(main())
