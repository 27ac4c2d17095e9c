"""What clients ask before they log: is this a server, which version does it speak, what can it do."""

from charkh.bridges.mlflow.call import Call, Raw, Route

API_LEVEL = "3.17.2"
"""The version of MLflow whose protocol is answered. Clients since 3.4 send spans only to a server of 3.4 or later."""


def version(_call: Call) -> Raw:
    """The version as text."""
    return Raw(API_LEVEL.encode())


def health(_call: Call) -> Raw:
    """What a load balancer asks for."""
    return Raw(b"OK")


def server_info(_call: Call) -> dict[str, object]:
    """What a client asks once before it uploads."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": True,
        "multipart_downloads_enabled": False,
        "artifact_serving_enabled": True,
        "artifacts_presigned_only": False,
    }


ROUTES = (
    Route("GET", "/version", version, "open", versions=(), inline=True),
    Route("GET", "/health", health, "open", versions=(), inline=True),
    Route("GET", "/mlflow/server-info", server_info, "open", versions=("3.0",), inline=True),
)
