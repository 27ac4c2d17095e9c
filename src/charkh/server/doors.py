"""The doors of `charkh up`: who may come in, under which names, over TLS or not, and how often."""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from charkh.core.errors import Denied, Invalid, Unauthenticated, Unavailable
from charkh.endpoints.metrics_page import PATH as METRICS
from charkh.server.policy import ANY, LOOPBACK, Doorkeeper, host_names
from charkh.server.traffic import Traffic
from charkh.users.gatekeeper import Gatekeeper
from charkh.workspace.token import token_of
from charkh.workspace.vouching import vouching_of
from charkh.workspace.workspace import Workspace

_log = logging.getLogger("charkh.server")


class Doors(NamedTuple):
    """What stands in front of the applications of one server.

    Attributes:
        token: the owner's.
        gatekeeper: says who asks.
        doorkeeper: lets requests in by the policy of their route.
        traffic: counts what comes in.
        hosts: further names under which clients may call.
        name: one under which clients may call, for what is shown to people.
        certificate: file of the TLS certificate chain, or None.
        key: file of its private key, or None.
    """

    token: str
    gatekeeper: Gatekeeper
    doorkeeper: Doorkeeper
    traffic: Traffic
    hosts: tuple[str, ...]
    name: str
    certificate: Path | None
    key: Path | None

    @property
    def scheme(self) -> str:
        """`https`, or `http`."""
        return "https" if self.certificate is not None else "http"

    def may_infer(self, authorization: str, path: str) -> bool:
        """Whether who shows this header may ask the endpoint that a path names; without a name, see what there is."""
        try:
            caller = self.gatekeeper.identify(authorization)
        except Unauthenticated:
            return False
        if path == METRICS:
            # It tells of every endpoint and monitor.
            return caller.may_everywhere("reader")
        if path.startswith(("/feedback/", "/truth/")):
            # They decide which model answers, so that it takes more than to ask one.
            return caller.may("writer", "endpoint", path.split("/", 2)[2])
        parts = path.split("/")
        name = parts[2] if path.startswith("/predict/") else parts[3] if path.startswith("/v2/models/") else ""
        return caller.may("reader", "endpoint", name) if name else caller.may_somewhere("reader")


def open_doors(
    workspace: Workspace,
    address: str,
    *,
    hosts: Collection[str] = (),
    certificate: Path | None = None,
    key: Path | None = None,
) -> Doors:
    """The doors of a server that listens on `address`.

    Raises:
        Denied: beyond this machine, and nobody is a user yet.
        Invalid: a certificate without its key, or a key alone.
        Unavailable: one of the files is not there.
    """
    settings = workspace.settings.server
    token = token_of(workspace.store_folder)
    gatekeeper = Gatekeeper(workspace.store, token)
    gatekeeper.vouching = vouching_of(workspace)
    given, private = _files(workspace.folder, certificate, key, settings.certificate, settings.key)
    if address not in LOOPBACK:
        if not gatekeeper.has_users and gatekeeper.vouching is None:
            raise Denied(
                f"charkh up does not listen on {address} while nobody is a user",
                code="server.beyond_loopback",
                hint="Make the first one with `charkh user add NAME --role admin`, or use an SSH tunnel to 127.0.0.1.",
            )
        if given is None:
            _log.warning(
                "tokens and data travel in the clear on %s: give --certificate and --key, or put a TLS proxy in front",
                address,
            )
    names = (*settings.hosts, *hosts)
    doorkeeper = Doorkeeper(
        gatekeeper, host_names(address, names), secure=given is not None, numbers=address.strip("[]") in ANY
    )
    return Doors(
        token=token,
        gatekeeper=gatekeeper,
        doorkeeper=doorkeeper,
        traffic=Traffic(gatekeeper, workspace.store, settings.rate),
        hosts=names,
        name=address if address not in ANY else next(iter(names), "127.0.0.1"),
        certificate=given,
        key=private,
    )


def _files(
    folder: Path, certificate: Path | None, key: Path | None, configured: str, configured_key: str
) -> tuple[Path | None, Path | None]:
    if certificate is None and key is None:
        certificate = folder / configured if configured else None
        key = folder / configured_key if configured_key else None
    if (certificate is None) != (key is None):
        raise Invalid(
            "TLS needs a certificate and its key",
            code="server.tls",
            hint="Give both: --certificate chain.pem --key key.pem.",
        )
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise Unavailable(f"there is no file {path}", code="server.tls", hint="Name a PEM file that can be read.")
    return certificate, key
