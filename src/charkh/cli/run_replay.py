"""`charkh run replay`: run again what a run was, and say whether it comes to the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_line, write_note, write_table
from charkh.core.errors import GateRefused, Invalid

if TYPE_CHECKING:
    from charkh.runs.replayed import Difference
    from charkh.workspace.replaying import Replay

SHORT = 18


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="run:1f3a, the beginning of an id, or a run's name.")],
    into: Annotated[Path | None, typer.Option("--into", help="Build the code in this new folder, and keep it.")] = None,
    env: Annotated[
        str, typer.Option("--env", help="reuse: the environment at hand; uv: build the recorded one.")
    ] = "reuse",
    repository: Annotated[
        Path | None,
        typer.Option("--repository", help="A working tree of the run's repository; the workspace's by default."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="VARIABLE", help="Variable with a credential that the command line lacks."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="How far metrics may differ, as a share; 0 is to the last bit.")
    ] = 0.0,
    json: AsJson = False,
) -> None:
    """Run again what a run was: its code, environment and data; exit code 0 when it comes to the same, 4 when not.

    The replay is a run of its own, recorded in the same store.
    """
    # Building and running code is loaded by the verb that does it.
    from charkh.workspace.replaying import replay as replay_run

    how: Literal["reuse", "uv"] = "uv" if env == "uv" else "reuse"
    if env != how:
        raise Invalid(f"--env {env} is unknown", code="replay.env", hint="Say reuse or uv.")
    with open_workspace() as workspace:
        found = replay_run(
            workspace,
            run,
            into=into,
            how=how,
            repository=repository,
            secrets=secret or (),
            tolerance=tolerance,
            notify=write_note,
        )
    if json:
        write_json(found)
    else:
        _write(found)
    if not found.equal:
        raise GateRefused(
            f"run:{found.second} differs from run:{found.first} in {shown_count(len(found.differences), 'thing')}",
            code="replay.different",
            hint=f"`charkh run compare {found.first[:SHORT]} {found.second[:SHORT]}` shows more.",
        )


def _write(found: "Replay") -> None:
    for note in found.notes:
        write_note(f"note: {note}")
    if found.environment:
        write_table(
            ["environment", "recorded", "now"],
            [[each.name, each.recorded or "-", each.now or "-"] for each in found.environment],
        )
    if found.differences:
        write_table(
            ["what", "name", "recorded", "now", "by", "share"],
            [_row(each) for each in found.differences],
        )
    counts = ", ".join(shown_count(count, what) for what, count in found.compared.items() if count)
    verdict = "equal" if found.equal else "different"
    write_line(f"{verdict}: run:{found.second} replays run:{found.first}; compared: {counts or 'how it ended'}")
    if found.folder:
        write_note(f"the code is in {found.folder}")


def _row(each: "Difference") -> list[object]:
    share = f"{each.relative:.2g}" if each.relative is not None else ""
    return [each.what, each.name, _short(each.first), _short(each.second), each.absolute, share]


def _short(value: Any) -> object:
    if isinstance(value, str) and len(value) >= 64:
        return ", ".join(part[:12] for part in value.split(", "))
    if isinstance(value, float):
        # Two numbers that differ in the last place are not shown alike.
        return repr(value)
    return "-" if value is None else value
