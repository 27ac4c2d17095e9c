"""`charkh model compile`: convert a version to ONNX, compare both forms, and say what came out."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_pairs
from charkh.models.compiled import ModelCompiled


def compile_form(
    model: Annotated[str, typer.Argument(help="Reference of the version, such as delay@champion.")],
    json: AsJson = False,
) -> None:
    """Convert a version to ONNX and compare it with the original; it is served only where both answer alike."""
    from charkh.workspace.compiling import compile_now

    with open_workspace() as workspace:
        compiled = compile_now(workspace, model)
    if json:
        write_json(compiled)
    else:
        write_pairs([("version", f"{compiled.name}@{compiled.number}"), *compiled_lines(compiled)])
    if not compiled.parity:
        raise typer.Exit(1)


def compiled_lines(compiled: ModelCompiled | None) -> list[tuple[str, str]]:
    """What is said of a compiled form, by label; nothing where there is none."""
    if compiled is None:
        return []
    if not compiled.parity:
        return [("compiled", f"not served: {compiled.reason}")]
    faster = f", {compiled.speedup:.1f} times as fast" if compiled.speedup else ""
    return [("compiled", f"ONNX, answers alike in {compiled.rows} rows (worst {compiled.worst:.1e}){faster}")]
