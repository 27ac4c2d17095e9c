"""`charkh export model`: a version as a folder that other tools take: plain files, an OCI image layout, or MLflow's."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_line, write_note
from charkh.core.errors import Invalid
from charkh.models.find import find
from charkh.models.oms import SIGNATURE_FILE
from charkh.workspace.supplying import files_to_hand_out, lay_out

FORMATS = ("oci", "files", "mlflow")


def export_model(
    model: Annotated[str, typer.Argument(help="A version: delay@3, delay@champion.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder that is not there yet.")],
    form: Annotated[str, typer.Option("--format", help="oci (CNCF ModelPack), files, or mlflow.")] = "oci",
    json: AsJson = False,
) -> None:
    """Write a version as an OCI image layout or as plain files, with its signature, card and bill of materials.

    With --format mlflow, a folder that `mlflow models serve` runs.
    """
    if form not in FORMATS:
        raise Invalid(f"{form!r} is no form of a model", code="export.format", hint=f"Use one of {', '.join(FORMATS)}.")
    with open_workspace() as workspace:
        version = find(workspace.store, model)
        own, beside = files_to_hand_out(workspace, version)
        folder: dict[str, bytes] = {}
        if form == "mlflow":
            # A bridge is imported by the command that crosses it.
            from charkh.bridges.mlflow.exporting.mlmodel_folder import version_files

            folder = version_files(workspace.store, version)
    if form == "oci":
        # A bridge is imported by the command that crosses it.
        from charkh.bridges.modelpack import image_layout

        content = image_layout(version, own, extra=beside)
    elif form == "mlflow":
        content = folder
    else:
        # The signature covers the model's files and nothing else: a verifier refuses what stands beside them.
        content = {**own, **{name: data for name, data in beside.items() if name == SIGNATURE_FILE}}
    lay_out(output, content)
    if json:
        write_json({"version": version.ref, "folder": str(output), "format": form, "files": sorted(content)})
        return
    write_line(f"{output}: {version.ref} in {shown_count(len(content), 'file')}")
    if form == "mlflow":
        write_note(f"next: mlflow models serve -m {output} --env-manager local")
    if form == "oci":
        write_note(f"next: skopeo copy oci:{output}:v{version.made.number} docker://REGISTRY/{version.made.name}")
