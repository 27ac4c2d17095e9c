"""The OpenID provider of a workspace, as `[oidc]` says."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from charkh.core.errors import Invalid
from charkh.stores.egress_http import HttpEgress
from charkh.stores.egress_rules import Allowed
from charkh.users.oidc import Provider
from charkh.users.vouched import Vouching
from charkh.workspace.workspace import Workspace

SECONDS = 5.0
"""For one call to the provider."""


def vouching_of(workspace: Workspace, environment: Mapping[str, str] = os.environ) -> Vouching | None:
    """Who vouches for users, where the settings name a provider.

    The issuer's host may be called, and beyond it what `[egress]` lists; over plain HTTP only where the issuer's own
    address says so.

    Raises:
        Invalid: the settings do not make sense, the secret is not in the environment, or the extra is not installed.
    """
    settings = workspace.settings.oidc
    if not settings.issuer:
        return None
    address = urlsplit(settings.issuer)
    if address.scheme not in {"https", "http"} or not address.hostname:
        raise Invalid(
            f"[oidc] issuer is {settings.issuer!r}",
            code="config.invalid",
            hint="Write the https:// address that stands in the provider's tokens.",
        )
    secret = environment.get(settings.secret_env, "") if settings.secret_env else ""
    if settings.secret_env and not secret:
        raise Invalid(
            f"the variable {settings.secret_env} has no client secret",
            code="config.invalid",
            hint="Export it before `charkh up`, or leave [oidc] secret_env out for a public client.",
        )
    more = workspace.settings.egress
    private = (address.netloc.rpartition("@")[2],) if address.scheme == "http" else ()
    allowed = Allowed(hosts=(address.hostname, *more.hosts), private=(*private, *more.private))
    return Vouching(workspace.store, Provider(settings, HttpEgress(allowed, seconds=SECONDS), secret))
