"""`charkh mcp`: a server for assistants, over stdin and stdout."""

import os
import sys
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import write_json
from charkh.core.errors import Unavailable


def mcp(
    allow_writes: Annotated[
        bool, typer.Option("--allow-writes", help="Offer the tools that tag, note and move aliases, too.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print what an assistant's settings need, as JSON, and serve nothing.")
    ] = False,
) -> None:
    """Let an assistant ask this workspace, by the Model Context Protocol.

    It speaks over stdin and stdout: an assistant starts it by itself. What it writes carries (mcp) behind the author.
    """
    if json:
        with open_workspace() as workspace:
            words = ["-m", "charkh", "-C", str(workspace.folder), "mcp", *(["--allow-writes"] if allow_writes else [])]
        write_json({"mcpServers": {"charkh": {"command": sys.executable, "args": words}}})
        return
    try:
        # The bridge needs an extra, and is imported by the command that crosses it.
        from charkh.bridges.mcp.server import serve_stdio
    except ModuleNotFoundError as error:
        raise Unavailable(
            "assistants need the MCP SDK", code="extra.missing", hint="Install it with: pip install 'charkh[mcp]'"
        ) from error
    from charkh.workspace.workspace import actor_name

    os.environ["CHARKH_ACTOR"] = f"{actor_name()} (mcp)"
    with open_workspace() as workspace:
        serve_stdio(workspace, allow_writes=allow_writes)
