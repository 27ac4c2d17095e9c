"""gRPC's server reflection: what services there are, and the files that describe them. No I/O."""

from typing import Any, cast

from charkh.endpoints.grpc.schema import SERVICES, files, message

_NOT_FOUND = 5
_UNIMPLEMENTED = 12


def reflect(package: str, raw: bytes) -> bytes:
    """The response to one question of reflection.

    Args:
        package: of the service that was asked: `grpc.reflection.v1` or `grpc.reflection.v1alpha`.
        raw: the request's bytes.
    """
    request = message(package, "ServerReflectionRequest").FromString(raw)
    response = message(package, "ServerReflectionResponse")(valid_host=request.host, original_request=request)
    asked = request.WhichOneof("message_choice")
    if asked == "list_services":
        for name in SERVICES:
            response.list_services_response.service.add(name=name)
    elif asked == "file_by_filename":
        _give(response, request.file_by_filename)
    elif asked == "file_containing_symbol":
        _give(response, _file_of(request.file_containing_symbol))
    else:
        response.error_response.error_code = _UNIMPLEMENTED
        response.error_response.error_message = "there are no extensions"
    return cast(bytes, response.SerializeToString())


def _file_of(symbol: str) -> str:
    """The file of a service, a method or a message; its package is the longest one that the symbol begins with."""
    packages = {name.removesuffix(".proto").replace("/", "."): name for name in files()}
    found = [package for package in packages if symbol.startswith(f"{package}.")]
    return packages[max(found, key=len)] if found else ""


def _give(response: Any, name: str) -> None:
    raw = files().get(name)
    if raw is None:
        response.error_response.error_code = _NOT_FOUND
        response.error_response.error_message = "there is no such file or symbol"
    else:
        response.file_descriptor_response.file_descriptor_proto.append(raw)
