"""Making a version of a logged model is one decision: it reads the model and takes the number under one lock."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.events import Draft
from charkh.core.files import FileRef
from charkh.models.decisions import RegisterModel, decide_register
from charkh.models.log import no_logged
from charkh.models.logged_index import LoggedById, logged_by_id
from charkh.models.model import VersionMade
from charkh.ports.projections import Command, Decide


class RegisterLogged(Command, frozen=True, kw_only=True):
    """Make a version of a logged model whose files charkh saved; nothing where it is a version already.

    Attributes:
        name: of the registered model.
        logged: id of the logged model.
        description: of the version, durable in the vault.
        datasets: ids of the dataset versions that it was trained on.
    """

    name: str
    logged: str
    description: FileRef | None = None
    datasets: tuple[str, ...] = ()


def content_of_logged(name: str, logged: str) -> str:
    """What tells the version that is made of a logged model from others of its name."""
    return digest_of(canonical_json([name, "logged", logged]))


def decide_register_logged(connection: Connection, command: RegisterLogged) -> Sequence[Draft]:
    model = logged_by_id(connection, LoggedById(logged=command.logged))
    if model is None or model.deleted is not None:
        raise no_logged(command.logged)
    content = model.made.content
    if content is None:
        raise Invalid(
            f"the files of {command.logged} came from another tool",
            code="model.logged_elsewhere",
            hint="Register it with that tool's client, or load it and use `charkh.register`.",
        )
    made = VersionMade(
        name=command.name,
        version="",
        number=0,
        content=content_of_logged(command.name, command.logged),
        tree=content.tree,
        runtime=content.runtime,
        libraries=content.libraries,
        signature=content.signature,
        safety=content.safety,
        example=content.example,
        description=command.description,
        run=model.made.run,
        datasets=command.datasets,
        logged=command.logged,
    )
    return decide_register(connection, RegisterModel(made=made, metrics=model.made.metrics))


LOGGED_DECISIONS: Mapping[type[Command], Decide] = {RegisterLogged: decide_register_logged}
