"""Run MLflow's own tests against charkh, and write down what came out.

    python -m tests.mlflow_suite CHECKOUT [-k EXPRESSION] [--report docs/bridges/mlflow-suite.md]

CHECKOUT is a checkout of MLflow whose package and tests are of one version; PEER_PYTHON names a Python that has
MLflow's dependencies and pytest.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
REST = (
    "tests/tracking/test_rest_tracking.py",
    "tests/tracking/test_model_registry.py",
    "tests/tracing/test_otel_logging.py",
    "tests/tracking/test_client_webhooks.py",
    "tests/store/model_registry/test_rest_store_webhooks.py",
)
FLUENT = (
    "tests/tracking/fluent/test_fluent.py",
    "tests/tracking/test_tracking.py",
    "tests/tracking/test_log_image.py",
    "tests/tracking/test_artifact_utils.py",
    "tests/tracking/_model_registry/test_model_registry_fluent.py",
)


class Outcome(NamedTuple):
    """What became of one test: `passed`, `failed` or `skipped`, and the first line of why."""

    name: str
    state: str
    why: str


def main() -> int:
    """Exit status 1 where a test failed that is not expected to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("-k", default="")
    parser.add_argument("--report", type=Path)
    asked = parser.parse_args()
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "tests.mlflow_suite.server", str(port)], cwd=HERE.parent.parent) as at:
        try:
            wait_for(port)
            with ThreadPoolExecutor(2) as pool:
                rest = pool.submit(run_tests, asked.checkout, REST, port, asked.k, fluent=False)
                fluent = pool.submit(run_tests, asked.checkout, FLUENT, port, asked.k, fluent=True)
                outcomes = [*rest.result(), *fluent.result()]
        finally:
            at.terminate()
    expected = tomllib.loads((HERE / "expected.toml").read_text())["not_applicable"]
    text, unexpected = report(outcomes, expected, version_of(asked.checkout))
    if asked.report:
        asked.report.write_text(text)
    sys.stdout.write(text)
    return 1 if unexpected else 0


def version_of(checkout: Path) -> str:
    """The version of MLflow in a checkout."""
    told = (checkout / "mlflow/version.py").read_text()
    found = re.search(r'^VERSION = "([^"]+)"', told, re.MULTILINE)
    return found[1] if found else "unknown"


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when somebody listens on the port; `TimeoutError` after half a minute."""
    for _ in range(300):
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on {port}")


def run_tests(checkout: Path, files: tuple[str, ...], port: int, expression: str, *, fluent: bool) -> list[Outcome]:
    """Run some of MLflow's test files by the peer's Python, one after another: their own client asks for `sys.argv`."""
    python = os.environ.get("PEER_PYTHON", sys.executable)
    with tempfile.NamedTemporaryFile(suffix=".xml") as results:
        settings = {
            **os.environ,
            "PYTHONPATH": f"{checkout}:{HERE}",
            "CHARKH_SUITE_ADDRESS": f"http://127.0.0.1:{port}",
            "CHARKH_SUITE_FLUENT": "1" if fluent else "",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        }
        options = ["-q", "-p", "plugin", "-p", "no:cacheprovider", "--confcutdir=.", "--timeout=120", "--durations=0"]
        options += ["-o", "addopts=", "-W", "ignore", "--tb=short", f"--junit-xml={results.name}"]
        options += ["-k", expression] if expression else []
        present = [each for each in files if (checkout / each).is_file()]
        subprocess.run([python, "-m", "pytest", *options, *present], cwd=checkout, env=settings, check=False)
        return read_results(Path(results.name))


def read_results(path: Path) -> list[Outcome]:
    """The outcomes of a JUnit document."""
    found: list[Outcome] = []
    for case in ElementTree.parse(path).iter("testcase"):  # written by the pytest that was just run
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        state, why = "passed", ""
        for child in case:
            if child.tag in {"failure", "error", "skipped"}:
                state = "skipped" if child.tag == "skipped" else "failed"
                why = (child.get("message") or "").strip().partition("\n")[0]
        found.append(Outcome(name, state, why))
    return found


def report(outcomes: list[Outcome], expected: dict[str, str], version: str) -> tuple[str, list[Outcome]]:
    """A page that says what passed, what does not apply and why, and what failed; and the failures by themselves."""
    rows: dict[str, list[int]] = {}
    reasons: dict[str, int] = {}
    failed: list[Outcome] = []
    for each in outcomes:
        file = each.name.partition("::")[0]
        counts = rows.setdefault(file, [0, 0, 0])
        reason = next((why for pattern, why in expected.items() if fnmatch(each.name.partition("::")[2], pattern)), "")
        if each.state == "passed":
            counts[0] += 1
        elif each.state == "skipped" or reason:
            counts[2] += 1
            told = reason or f"skipped by MLflow's own suite: {each.why}"
            reasons[told] = reasons.get(told, 0) + 1
        else:
            counts[1] += 1
            failed.append(each)
    lines = [
        "# MLflow's own tests against charkh",
        "",
        f"The tests of MLflow {version} for its REST client, its fluent API and OpenTelemetry, unchanged, with",
        "the client of the same version; each has an empty charkh server. Written by",
        "`scripts/mlflow-suite CHECKOUT --report docs/bridges/mlflow-suite.md`.",
        "",
    ]
    lines += ["| file | passed | failed | not applicable |", "|---|---:|---:|---:|"]
    lines += [f"| {file} | {a} | {b} | {c} |" for file, (a, b, c) in sorted(rows.items())]
    total = [sum(column) for column in zip(*rows.values(), strict=True)] if rows else [0, 0, 0]
    lines += [f"| all | {total[0]} | {total[1]} | {total[2]} |", "", "## Not applicable", ""]
    lines += [f"- {count}: {why}" for why, count in sorted(reasons.items(), key=lambda pair: -pair[1])]
    lines += ["", "## Failed", "", *(f"- `{each.name}`: {each.why[:200]}" for each in failed)]
    lines += [] if failed else ["None."]
    return "\n".join(lines) + "\n", failed


if __name__ == "__main__":
    sys.exit(main())
