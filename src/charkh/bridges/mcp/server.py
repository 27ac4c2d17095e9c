"""The server: tools, resources, and errors as an assistant can read them; over stdio, with the official SDK."""

import functools
import importlib.metadata
from collections.abc import Callable
from typing import Any

import msgspec
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.types import ToolAnnotations

from charkh.bridges.mcp.reading import Reading
from charkh.bridges.mcp.shapes import run_shape
from charkh.bridges.mcp.writing import Writing
from charkh.cards.find import find as find_card
from charkh.cards.record import read_markdown
from charkh.core.errors import CharkhError
from charkh.runs.find import find as find_run
from charkh.workspace.resolving import resolve
from charkh.workspace.workspace import Workspace

INSTRUCTIONS = """\
charkh keeps datasets, runs, models, checks, monitors and what was made from what. References are written like
flights@3, delay@champion, run:ID. Begin with search_runs, list_datasets or list_models; trace walks back from a
prediction or model to the data. Answers are bounded: narrow the query instead of asking for everything."""
MAX_CARD = 100_000
"""Characters of a card in one answer."""

Function = Callable[..., Any]


def server(workspace: Workspace, *, allow_writes: bool) -> MCPServer[Any]:
    """The server of a workspace.

    Args:
        workspace: that is asked.
        allow_writes: offer the tools that write, too.
    """
    made: MCPServer[Any] = MCPServer(
        "charkh", instructions=INSTRUCTIONS, version=importlib.metadata.version("charkh"), log_level="ERROR"
    )
    for tool in Reading(workspace).tools():
        made.add_tool(told(tool), annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    for tool in Writing(workspace).tools() if allow_writes else ():
        hints = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
        made.add_tool(told(tool), annotations=hints)
    _add_resources(made, workspace)
    return made


def serve_stdio(workspace: Workspace, *, allow_writes: bool) -> None:
    """Serve one client over stdin and stdout, until it goes."""
    server(workspace, allow_writes=allow_writes).run("stdio")


def told(function: Function) -> Function:
    """The function, with errors of charkh as errors of a tool: what happened, and what to do."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except CharkhError as error:
            raise ToolError(f"{error.message} [{error.code}]" + (f" {error.hint}" if error.hint else "")) from error

    return call


def _add_resources(made: MCPServer[Any], workspace: Workspace) -> None:
    store = workspace.store

    def card(what: str) -> str:
        """The card of a model or dataset, in Markdown; `what` is such as delay@3."""
        try:
            return read_markdown(store, find_card(store, resolve(store, what)))[:MAX_CARD]
        except CharkhError as error:
            raise ResourceNotFoundError(f"{error.message} {error.hint}".strip()) from error

    def run(ref: str) -> str:
        """A run, as JSON; `ref` is its id, the begin of one, or its name."""
        try:
            return msgspec.json.encode(run_shape(find_run(store, ref))).decode()
        except CharkhError as error:
            raise ResourceNotFoundError(f"{error.message} {error.hint}".strip()) from error

    made.resource("charkh://cards/{what}", name="card", mime_type="text/markdown")(card)
    made.resource("charkh://runs/{ref}", name="run", mime_type="application/json")(run)
