"""What `charkh.toml` may say: the settings as frozen structs, and clear errors for what they are not.

Pure parsing: reading files and the environment is `workspace/settings.py`. An unknown key is an error
that names the nearest right one.
"""

import difflib
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, Union, cast

import msgspec

from charkh.core.endpoint_settings import EndpointSettings, check_endpoint
from charkh.core.errors import Invalid
from charkh.core.gates import parse_condition
from charkh.core.loop_settings import LoopSettings, check_loop
from charkh.core.metrics_settings import MetricsSettings, check_metrics
from charkh.core.monitor_settings import MonitorSettings, check_monitor
from charkh.core.quantities import parse_duration, parse_size
from charkh.core.runtime_settings import RuntimeSettings, check_runtime
from charkh.core.serving_settings import ServingSettings, check_serving
from charkh.core.source_settings import AnySource, check_source
from charkh.core.stability_settings import StabilitySettings, check_stability
from charkh.core.tracing_settings import TracingSettings, check_tracing

Settings_ = TypeVar("Settings_")


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[store]`: where facts and bytes live.

    Attributes:
        path: folder of an embedded store, relative to the workspace.
        journal: `postgresql://…` for a team's journal and catalog, or empty for the folder.
        blobs: `s3://bucket/prefix` for bytes, or empty for the folder.
        url: `https://…` of a `charkh up` that has the store; what is recorded here is kept on this disk until it is
            there. Empty for a store of this workspace's own.
        wait: how long the end of a run waits until the server at `url` has what was recorded, such as `10s`.
        spool: whether what is open lies on a disk of this machine and is shipped from there: `auto` where the store's
            folder is on a file system that other machines write to (NFS, Lustre, FUSE), `always` or `never`.
    """

    path: str = ".charkh"
    journal: str = ""
    blobs: str = ""
    url: str = ""
    wait: str = "10s"
    spool: Literal["auto", "always", "never"] = "auto"


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[cache]`: how many bytes the caches beside the store keep at most; whatever is in them can be made again.

    Attributes:
        files: whole files of versions, for checkouts and for reading, such as `10GB`.
        tables: text tables as columns, for reading, such as `5GB`.
    """

    files: str = "10GB"
    tables: str = "5GB"


class GcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gc]`: how long what nothing holds stays before its bytes are gone.

    Attributes:
        grace: how long a pack lies in the trash, such as `14d`; until then `charkh gc --undo` brings it back.
        young: bytes that were written more recently are left alone, such as `1h`: their event may not be out yet.
        silent: another workspace on the same medium that has said nothing for so long is named, such as `30d`.
    """

    grace: str = "14d"
    young: str = "1h"
    silent: str = "30d"


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gate.NAME]`: what a candidate must satisfy to be promoted.

    Attributes:
        require: conditions that must all be met (`charkh.core.gates`).
        approvals: how many people must have approved; beside what `require` says.
        approvers: whose approval counts for that: names, roles of `[registry.roles]`, `role:writer` or `role:admin`;
            everybody's with none. Who registered the version never counts.
    """

    require: tuple[str, ...] = ()
    approvals: int = 0
    approvers: tuple[str, ...] = ()


class AliasSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[registry.alias.WORD]`: what guards an alias.

    Attributes:
        gate: name of the `[gate.NAME]` that a version must pass to hold it.
    """

    gate: str


class RegistrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[registry]`: what is asked of models before they are loaded, served or promoted.

    Attributes:
        require_signature: aliases whose holders must be signed by a trusted key; `*` for every version.
        trusted_keys: files of public keys (PEM), relative to the workspace.
        trusters: people whose trust in code-bearing files counts; everybody's with none.
        roles: by name, the people who have that role at gates.
        alias: by word, what guards the alias.
    """

    require_signature: tuple[str, ...] = ()
    trusted_keys: tuple[str, ...] = ()
    trusters: tuple[str, ...] = ()
    roles: dict[str, tuple[str, ...]] = {}
    alias: dict[str, AliasSettings] = {}


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where `charkh up` listens.

    Attributes:
        host: address to bind; this machine alone by default. Another one needs users.
        port: TCP port.
        hosts: further names under which clients may call, such as `charkh.example.org`.
        certificate: file of the TLS certificate chain (PEM), relative to the workspace; plain HTTP without one.
        key: file of its private key (PEM), relative to the workspace.
        rate: requests a second that one token may send for long once there are users; 0 for no bound.
    """

    host: str = "127.0.0.1"
    port: int = 7461
    hosts: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    rate: float = 1000.0


class TensorBoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tensorboard]`: folders of event files that `charkh up` follows.

    Attributes:
        follow: what TensorBoard would be given, relative to the workspace, such as `runs`.
        project: name of the project of their runs; the default one when empty.
        every: between two looks, such as `1s`.
    """

    follow: tuple[str, ...] = ()
    project: str = ""
    every: str = "1s"


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[oidc]`: the OpenID provider that vouches for people and services; needs `charkh[oidc]`.

    Attributes:
        issuer: address of the provider, exactly as it stands in its tokens; empty for none.
        client: this server's id at the provider, for signing in with a browser.
        secret_env: variable with the client's secret; empty for a public client, which proves itself by PKCE alone.
        audience: what tokens of clients must be made for; `client` by default.
        claim: the claim with the user's name.
        groups: the claim with the user's groups.
        grants: by group (`*` for everybody that the provider knows), roles and scopes such as `writer:flights/`.
        algorithms: signatures that are believed.
        scopes: what is asked for when somebody signs in.
    """

    issuer: str = ""
    client: str = ""
    secret_env: str = ""
    audience: str = ""
    claim: str = "email"
    groups: str = "groups"
    grants: dict[str, tuple[str, ...]] = {}
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    scopes: tuple[str, ...] = ("openid", "email", "profile")


class RemoteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[remote.NAME]`: another place to exchange facts and bytes with.

    Attributes:
        url: a folder, a file that ends in `.bundle`, `s3://bucket/prefix`, `gs://…`, `az://…`, `ssh://host/folder`, or
            the address of a `charkh up`; without credentials.
        key: the file of the key with which everything there is encrypted, relative to the workspace, or `env:NAME`.
        token: the file of the token that a `charkh up` asks for, or `env:NAME`; `CHARKH_TOKEN` by default.
        default: `charkh sync` without a name means this one.
    """

    url: str
    key: str = ""
    token: str = ""
    default: bool = False


class EgressSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[egress]`: which addresses the server may call on behalf of webhooks and lineage; none by default.

    Attributes:
        hosts: such as `hooks.slack.com`, `*.example.com` or `*`: called over HTTPS, at public addresses alone.
        private: hosts of your own network, such as `127.0.0.1:9000`: called whatever they resolve to, over HTTP, too.
    """

    hosts: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[webhook.NAME]`: where the secrets of a webhook are, when they are not in the store's own file.

    Attributes:
        secret_env: variable with the secret that signs.
        url_env: variable with the address, where the address is a secret.
    """

    secret_env: str = ""
    url_env: str = ""


class OpenLineageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[openlineage]`: where lineage events go while `charkh up` or `charkh webhook deliver` runs.

    Attributes:
        url: that takes them, such as `https://marquez.example.com/api/v1/lineage`; empty for none.
        api_key_env: variable with the key, sent as a bearer token.
        namespace: of jobs and datasets; `charkh://` and the store's id by default.
    """

    url: str = ""
    api_key_env: str = ""
    namespace: str = ""


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[run]`: what a run of a script keeps without being asked.

    Attributes:
        console: what the script prints, without credentials: `true` for what Python prints, `"fd"` for what libraries
            in C and child processes write as well, `false` for nothing.
        system: how often the machine is measured (processors, memory, disk, network, cards), such as `10s`; `0s` for
            never.
    """

    console: bool | Literal["fd"] = True
    system: str = "10s"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that `charkh.toml` or `[tool.charkh]` may say.

    Attributes:
        pipelines: Python file or module that defines the workspace's pipelines.
    """

    store: StoreSettings = StoreSettings()
    server: ServerSettings = ServerSettings()
    cache: CacheSettings = CacheSettings()
    gc: GcSettings = GcSettings()
    run: RunSettings = RunSettings()
    runtime: dict[str, RuntimeSettings] = {}
    gate: dict[str, GateSettings] = {}
    registry: RegistrySettings = RegistrySettings()
    endpoint: dict[str, EndpointSettings] = {}
    serving: ServingSettings = ServingSettings()
    monitor: dict[str, MonitorSettings] = {}
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    stability: dict[str, StabilitySettings] = {}
    loop: dict[str, LoopSettings] = {}
    remote: dict[str, RemoteSettings] = {}
    source: dict[str, AnySource] = {}
    egress: EgressSettings = EgressSettings()
    webhook: dict[str, WebhookSettings] = {}
    openlineage: OpenLineageSettings = OpenLineageSettings()
    oidc: OidcSettings = OidcSettings()
    tensorboard: TensorBoardSettings = TensorBoardSettings()
    pipelines: str = ""


def parse_settings(document: Mapping[str, object], source: str) -> Settings:
    """The settings in a parsed TOML document.

    Args:
        document: tables and values.
        source: the file's name, for the error.

    Raises:
        Invalid: an unknown key, a wrong type, or a condition or duration that cannot be read.
    """
    settings = parse_table(document, Settings, source)
    for name, gate in settings.gate.items():
        with _telling(f"{source}: [gate.{name}]"):
            for text in gate.require:
                parse_condition(text)
    for word, guarded in settings.registry.alias.items():
        if guarded.gate not in settings.gate:
            raise Invalid(
                f"{source}: the alias {word!r} names the gate {guarded.gate!r}, which is not there",
                code="config.invalid",
                hint=f"Write [gate.{guarded.gate}] with a list require; known: {', '.join(settings.gate) or 'none'}.",
            )
    for name, endpoint in settings.endpoint.items():
        check_endpoint(name, endpoint, source)
    check_serving(settings.serving, source)
    check_metrics(settings.metrics, source)
    check_tracing(settings.tracing, source)
    for name, monitor in settings.monitor.items():
        with _telling(f"{source}: [monitor.{name}]"):
            check_monitor(monitor)
    for name, stability in settings.stability.items():
        check_stability(name, stability)
    for name, runtime in settings.runtime.items():
        check_runtime(name, runtime, source)
    for name, loop in settings.loop.items():
        with _telling(f"{source}: [loop.{name}]"):
            check_loop(loop)
    with _telling(f"{source}: [tensorboard]"):
        parse_duration(settings.tensorboard.every)
    with _telling(f"{source}: [gc]"):
        for length in (settings.gc.grace, settings.gc.young, settings.gc.silent):
            parse_duration(length)
    with _telling(f"{source}: [run]"):
        parse_duration(settings.run.system)
    with _telling(f"{source}: [cache]"):
        parse_size(settings.cache.files)
        parse_size(settings.cache.tables)
    for name, remote in settings.remote.items():
        refuse_credentials(remote.url, f"{source}: [remote.{name}] url")
    refuse_credentials(settings.openlineage.url, f"{source}: [openlineage] url")
    refuse_credentials(settings.tracing.url, f"{source}: [tracing] url")
    for name, each in settings.source.items():
        check_source(name, each)
        if each.every:
            with _telling(f"{source}: [source.{name}]"):
                parse_duration(each.every)
    return settings


@contextmanager
def _telling(where: str) -> Generator[None]:
    """Say of what is refused in the block where it stands."""
    try:
        yield
    except Invalid as error:
        raise Invalid(f"{where}: {error.message}", code=error.code, hint=error.hint, facts=error.facts) from error


_PASSWORD = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*://[^/@\s]*:[^/@\s]*@")
_SIGNED = re.compile(r"(?i)[?&](?:sig|signature|x-amz-[a-z-]+|token|access_key[a-z_]*|secret[a-z_]*|password)=")


def refuse_credentials(address: str, where: str) -> None:
    """Refuse an address that carries a password, key or signature: it would be read by whoever reads the file.

    Raises:
        Invalid: it does.
    """
    if _PASSWORD.match(address) or _SIGNED.search(address):
        raise Invalid(
            f"{where} carries credentials",
            code="config.credentials",
            hint="Take them out and export CHARKH_TOKEN, which holds the token of a `charkh up`."
            if address.startswith("http")
            else "Take them out and set the medium's own variables, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or let ssh-agent hold the key.",
        )


def parse_table(document: Mapping[str, object], shape: type[Settings_], source: str) -> Settings_:
    """`document` as a struct of the given shape; the error for an unknown key names the nearest one."""
    _refuse_unknown_keys(document, shape, source, "")
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{source}: {_readable(str(error))}",
            code="config.invalid",
            hint=_choices(shape, str(error)) or "Mend that value and run the command again.",
            facts={"file": source},
        ) from error


def _refuse_unknown_keys(value: object, shape: Any, source: str, path: str) -> None:
    info = msgspec.inspect.type_info(shape)
    if not isinstance(value, Mapping):
        return
    items = cast(Mapping[str, object], value).items()
    if isinstance(info, msgspec.inspect.DictType):
        for key, item in items:
            item_shape = _shape_of(info.value_type, item, source, path + key)
            if item_shape is not None:
                _refuse_unknown_keys(item, item_shape, source, f"{path}{key}.")
        return
    if not isinstance(info, msgspec.inspect.StructType):
        return
    fields = {field.encode_name: field for field in info.fields}
    for key, item in items:
        field = fields.get(key)
        if field is None and key != info.tag_field:
            nearest = difflib.get_close_matches(key, list(fields), n=1, cutoff=0.5)
            known = ", ".join(sorted(fields))
            raise Invalid(
                f"{source}: unknown key {path + key!r}",
                code="config.unknown_key",
                hint=f"Did you mean {nearest[0]!r}?" if nearest else f"Known keys are: {known}.",
                facts={"file": source, "key": path + key},
            )
        annotation = None if field is None else _annotation_of(field.type)
        if annotation is not None:
            _refuse_unknown_keys(item, annotation, source, f"{path}{key}.")


def _annotation_of(info: msgspec.inspect.Type) -> Any:
    if isinstance(info, msgspec.inspect.StructType):
        return info.cls
    if isinstance(info, msgspec.inspect.DictType):
        if isinstance(info.value_type, msgspec.inspect.StructType):
            return dict[str, info.value_type.cls]
        if isinstance(info.value_type, msgspec.inspect.UnionType) and _structs(info.value_type):
            return dict[str, Union[tuple(each.cls for each in _structs(info.value_type))]]  # noqa: UP007 - computed
    return None


def _structs(info: msgspec.inspect.UnionType) -> list[msgspec.inspect.StructType]:
    return [each for each in info.types if isinstance(each, msgspec.inspect.StructType)]


def _shape_of(info: msgspec.inspect.Type, item: object, source: str, path: str) -> Any:
    """The struct that an item is written as; of several, the one that its own word (`kind`) names."""
    structs = _structs(info) if isinstance(info, msgspec.inspect.UnionType) else []
    if not structs:
        return getattr(info, "cls", None)
    tag = structs[0].tag_field or ""
    said = cast(Mapping[str, object], item).get(tag) if isinstance(item, Mapping) else None
    found = next((each.cls for each in structs if each.tag == said), None)
    if found is None and isinstance(item, Mapping):
        known = ", ".join(str(each.tag) for each in structs)
        raise Invalid(
            f"{source}: {path} has no {tag}" if said is None else f"{source}: {path}.{tag} is {said!r}",
            code="config.invalid",
            hint=f"{tag} is one of: {known}.",
            facts={"file": source, "key": path},
        )
    return found


def _choices(shape: Any, message: str) -> str:
    """The words that a field of the struct may hold, where the message says that another was given."""
    info = msgspec.inspect.type_info(shape)
    name = message.partition(" - at `$.")[2].rstrip("`")
    fields = info.fields if isinstance(info, msgspec.inspect.StructType) else ()
    field = next((each.type for each in fields if each.encode_name == name), None)
    if not isinstance(field, msgspec.inspect.LiteralType):
        return ""
    return f"It is one of: {', '.join(map(str, field.values))}."


def _readable(message: str) -> str:
    text, _, where = message.partition(" - at `$")
    return f"{where.rstrip('`').lstrip('.')}: {text}" if where else text
