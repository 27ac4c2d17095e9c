"""`charkh endpoint rollback`: let an endpoint answer with what it answered with before."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line


def rollback(
    name: Annotated[str, typer.Argument(help="Name of the endpoint.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")] = "",
    json: AsJson = False,
) -> None:
    """Let an endpoint answer with what it answered with before; again for the one before that.

    The alias that it serves moves back, or the deployment before is deployed again. Servers that run have that model
    loaded still, and swap to it within a second.
    """
    # Recipes load Polars: only by the verb that may put one back.
    from charkh.workspace.wanted import roll_back_endpoint

    with open_workspace() as workspace:
        back = roll_back_endpoint(workspace, name, reason=reason)
    if json:
        write_json(
            {
                "endpoint": name,
                "model": back.version.ref,
                "alias": back.alias,
                "deployment": back.deployment.id if back.deployment else "",
            }
        )
        return
    how = f"deployment {back.deployment.id}" if back.deployment else f"the alias {back.alias} moved back"
    write_line(f"{name} answers with {back.version.ref} again ({how})")
