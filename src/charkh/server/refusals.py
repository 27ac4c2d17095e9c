"""What the API answers to an error: problem details, and a short id that is also in the log."""

import logging
from typing import Any, cast

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from charkh.core.errors import CharkhError
from charkh.core.ids import new_id
from charkh.server.problems import MEDIA_TYPE, Problem, status_of

_log = logging.getLogger("charkh.server")


def answer_error(request: Request[Any, Any, Any], error: CharkhError) -> Response[bytes]:
    """A `CharkhError` as problem details."""
    identifier = new_id()[-8:]
    status = status_of(error)
    _log.log(
        logging.ERROR if status >= 500 else logging.INFO,
        "%s %s: %s %s [%s]",
        *(request.method, request.url.path, status, error.message, identifier),
    )
    facts = msgspec.to_builtins(error.facts, enc_hook=str)
    problem = Problem(
        type=f"urn:charkh:{error.code}",
        title=error.message,
        status=status,
        detail=error.hint,
        instance=identifier,
        facts=facts,
    )
    return _answer(problem)


def answer_refusal(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework refuses (no such route, wrong method, unreadable body), in the same form."""
    if error.status_code >= 500:
        return answer_bug(request, error)
    facts = {"problems": cast(object, error.extra)} if error.extra else {}
    problem = Problem(type="about:blank", title=error.detail or "refused", status=error.status_code, facts=facts)
    return _answer(problem, {name: str(value) for name, value in (error.headers or {}).items()})


def answer_depth(request: Request[Any, Any, Any], error: RecursionError) -> Response[bytes]:
    """A body that is nested more deeply than can be read; without a body it is a bug like any other."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return answer_bug(request, error)
    return _answer(Problem(type="urn:charkh:server.too_deep", title="the body is nested too deeply", status=400))


def answer_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """An error that charkh did not foresee: its id, and nothing of its inside."""
    identifier = new_id()[-8:]
    _log.error("%s %s: %r [%s]", request.method, request.url.path, error, identifier, exc_info=error)
    problem = Problem(
        type="urn:charkh:bug",
        title="charkh failed in a way it should not",
        status=500,
        detail=f"Look for {identifier} in the server's log and report what stands there.",
        instance=identifier,
    )
    return _answer(problem)


def _answer(problem: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers or {}
    )
