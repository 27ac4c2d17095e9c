"""`charkh endpoint export`: an endpoint as the objects of a cluster."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charkh.cli.opening import starting_folder
from charkh.cli.output import AsJson, write_json, write_line, write_note
from charkh.core.errors import Invalid
from charkh.workspace.settings import read_settings, require_workspace

FORMS = ("kubernetes", "kserve", "seldon")


def export(
    name: Annotated[str, typer.Argument(help="Name of the endpoint.")],
    to: Annotated[str, typer.Option("--to", help=f"One of: {', '.join(FORMS)}.")],
    image: Annotated[str, typer.Option(help="The image with charkh and the model's libraries.")] = "",
    namespace: Annotated[str, typer.Option(help="Of the objects.")] = "",
    secret: Annotated[
        str, typer.Option(help="The Secret whose keys become variables: PGPASSWORD, AWS_SECRET_ACCESS_KEY…")
    ] = "charkh",  # noqa: S107 (the name of an object)
    replicas: Annotated[int, typer.Option(help="Pods; the least of them where they scale.", min=1)] = 2,
    max_replicas: Annotated[int, typer.Option(help="Pods at most; no scaling without it.", min=0)] = 0,
    cpu: Annotated[str, typer.Option(help="What one pod is given.")] = "1",
    memory: Annotated[str, typer.Option(help="What one pod may use.")] = "1Gi",
    workers: Annotated[int, typer.Option(help="Processes in one pod.", min=1)] = 1,
    grpc: Annotated[bool, typer.Option("--grpc", help="Open the port of gRPC as well.")] = False,
    service_monitor: Annotated[
        bool, typer.Option("--service-monitor", help="Write a ServiceMonitor of the Prometheus operator.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    json: AsJson = False,
) -> None:
    """Write an endpoint as the objects of a cluster, ready for `kubectl apply -f`.

    Credentials stay out of it: the objects name a Secret.
    """
    if to not in FORMS:
        raise Invalid(f"{to!r} is no form of an endpoint", code="export.format", hint=f"Use one of {', '.join(FORMS)}.")
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.kserve.export import kserve_manifests
    from charkh.bridges.kubernetes import Placement, kubernetes_manifests
    from charkh.bridges.manifests import write_manifests
    from charkh.bridges.seldon.export import seldon_manifests
    from charkh.workspace.placing import settings_elsewhere

    settings = settings_elsewhere(read_settings(require_workspace(starting_folder().resolve())), name)
    writers = {"kubernetes": kubernetes_manifests, "kserve": kserve_manifests, "seldon": seldon_manifests}
    objects: list[dict[str, Any]] = writers[to](
        Placement(
            endpoint=name,
            settings=settings,
            image=image,
            namespace=namespace,
            secret=secret,
            replicas=replicas,
            most=max_replicas or replicas,
            cpu=cpu,
            memory=memory,
            grpc=grpc,
            workers=workers,
            monitor=service_monitor,
        )
    )
    text = write_manifests(objects)
    if output is not None:
        output.write_text(text)
    if json:
        write_json(objects)
    elif output is None:
        write_line(text.rstrip("\n"))
    else:
        write_line(f"{output}: {', '.join(str(each['kind']) for each in objects)}")
        write_note(
            f"next: kubectl create secret generic {secret} --from-literal=PGPASSWORD=…; kubectl apply -f {output}"
        )
