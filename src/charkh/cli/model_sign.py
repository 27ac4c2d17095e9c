"""`charkh model sign`, `verify`, `files` and `sbom`: what leaves the registry can be proved to be what is in it."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_line, write_note
from charkh.core.errors import Invalid
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.oms import SIGNATURE_FILE
from charkh.models.sign import bundle_of, sign_keyless, verified_by
from charkh.models.sign import sign as sign_files
from charkh.workspace.governing import read_key_file, trusted_keys
from charkh.workspace.supplying import bill_of, lay_out

Ref = Annotated[str, typer.Argument(help="A version: delay@3, delay@champion or model:ID.")]
Folder = Annotated[Path, typer.Option("--output", "-o", help="A folder that is not there yet.")]


def sign(
    model: Ref,
    key: Annotated[Path | None, typer.Option("--key", help="An EC private key in PEM.")] = None,
    password: Annotated[str, typer.Option("--password", envvar="CHARKH_KEY_PASSWORD", help="Of the key.")] = "",
    sigstore: Annotated[
        bool, typer.Option("--sigstore", help="Sign with your identity: needs the network; the log of it is public.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Sign the files of a version (OpenSSF Model Signing)."""
    if (key is None) != sigstore:
        raise Invalid("a signature is made with a key or an identity", code="model.no_key", hint="Say --key key.pem.")
    with open_workspace() as workspace:
        version = find(workspace.store, model)
        if key is None:
            signed = sign_keyless(workspace.store, version.id)
        else:
            signed = sign_files(workspace.store, version.id, _read(key), password=password.encode() or None)
    if json:
        write_json(signed)
        return
    write_line(f"signed {version.ref} with {signed.identity or f'the key {signed.key[:16]}'}")


def verify(
    model: Ref,
    public_key: Annotated[
        list[Path] | None, typer.Option("--public-key", help="A public key in PEM; those of [registry] by default.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Verify that one of these keys signed exactly the files of a version."""
    with open_workspace() as workspace:
        version = find(workspace.store, model)
        keys = [read_key_file(path) for path in public_key] if public_key else trusted_keys(workspace)
        made = verified_by(workspace.store, version, keys)
    if json:
        write_json({"verified": version.ref, "signature": made})
        return
    write_line(f"{version.ref} was signed with the key {made.signed.key[:16]}; recorded by {made.actor}")


def files(model: Ref, output: Folder, json: AsJson = False) -> None:
    """Write the files of a version into a folder, with model.sig where it is signed."""
    with open_workspace() as workspace:
        version = find(workspace.store, model)
        content = dict(read_files(workspace.store, version))
        bundle = bundle_of(workspace.store, version)
    if bundle is not None:
        content[SIGNATURE_FILE] = bundle
    lay_out(output, content)
    if json:
        write_json({"version": version.ref, "folder": str(output), "files": sorted(content)})
        return
    write_line(f"{output}: {shown_count(len(content), 'file')} of {version.ref}")
    if bundle is not None:
        write_note(f"next: model_signing verify key {output} --signature {output}/{SIGNATURE_FILE} --public_key KEY")


def sbom(
    model: Ref,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; the terminal by default.")] = None,
    json: AsJson = False,
) -> None:
    """Write the bill of materials of a version (CycloneDX 1.6): model, files, libraries, datasets, run."""
    with open_workspace() as workspace:
        version = find(workspace.store, model)
        bill = bill_of(workspace, version)
    if output is None:
        typer.echo(bill.decode())
        return
    output.write_bytes(bill)
    if json:
        write_json({"version": version.ref, "file": str(output)})
        return
    write_line(f"{output}: the bill of materials of {version.ref}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"the key {path} cannot be read: {error.strerror}", code="model.bad_key") from error
