"""An MLflow server as it is asked over REST: with the variables of its own clients, page by page, and patiently.

Nothing follows a redirect, so that credentials go to the server that was named and to no other.
"""

import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from charkh.core.errors import CharkhError, Conflict, Denied, Invalid, NotFound, Unavailable

ATTEMPTS = 4
MAX_PAGES = 100_000
TIMEOUT = httpx.Timeout(120.0, connect=10.0)
_AGAIN = frozenset({429, 502, 503, 504})

Fields = dict[str, Any]


class RestClient:
    """One server.

    Args:
        address: `http://host:port/prefix`.
        environment: where its clients' credentials stand, `MLFLOW_TRACKING_TOKEN` or `MLFLOW_TRACKING_USERNAME` and
            `MLFLOW_TRACKING_PASSWORD`; that of this process by default.

    Raises:
        Invalid: it is no such address, or credentials stand in it.
    """

    def __init__(self, address: str, environment: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise Invalid(
                "this is no address of an MLflow server",
                code="mlflow.bad_uri",
                hint="Write http://host:port; a token stands in MLFLOW_TRACKING_TOKEN, a name and password in "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
            )
        self.address = address.rstrip("/")
        self._client = httpx.Client(
            timeout=TIMEOUT, follow_redirects=False, **_credentials(os.environ if environment is None else environment)
        )

    def get(self, path: str, query: Fields) -> Fields:
        """The fields of an answer; `path` is behind `/api/2.0/mlflow/`."""
        given = [(name, str(value)) for name, value in query.items() if value not in {None, ""}]
        return _fields(self._send("GET", f"/api/2.0/mlflow/{path}", params=given))

    def post(self, path: str, body: Fields, *, method: str = "POST", again: bool = True) -> Fields:
        """The same of a request with a body; `again` where it may be sent twice."""
        content = msgspec.json.encode(body)
        headers = {"content-type": "application/json"}
        return _fields(
            self._send(
                method, f"/api/2.0/mlflow/{path}", content=content, headers=headers, attempts=ATTEMPTS if again else 1
            )
        )

    def pages(self, path: str, field: str, query: Fields, *, post: bool = True) -> Iterator[Fields]:
        """The items of a list that comes in pages."""
        token = ""
        for _ in range(MAX_PAGES):
            asked = {**query, **({"page_token": token} if token else {})}
            answer = self.post(path, asked) if post else self.get(path, asked)
            yield from cast(list[Fields], answer.get(field) or [])
            token = answer.get("next_page_token") or ""
            if not token:
                return

    def listed(self, path: str) -> list[Fields]:
        """What is directly in a folder of the artifacts that the server hands out."""
        answer = _fields(self._send("GET", "/api/2.0/mlflow-artifacts/artifacts", params=[("path", path)]))
        return cast(list[Fields], answer.get("files") or [])

    def download(self, path: str, target: Path, query: Mapping[str, str] | None = None) -> None:
        """The content of an address behind the server's own, into a file."""
        with self._stream(path, query or {}) as answer, target.open("wb") as file:
            for piece in answer.iter_bytes(1 << 20):
                file.write(piece)

    def upload(self, path: str, content: Iterator[bytes], size: int) -> None:
        """Hand a file to the server, under a path of its artifacts."""
        self._send(
            "PUT",
            f"/api/2.0/mlflow-artifacts/artifacts/{quote(path)}",
            content=content,
            headers={"content-length": str(size), "content-type": "application/octet-stream"},
            attempts=1,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @contextmanager
    def _stream(self, path: str, query: Mapping[str, str]) -> Generator[httpx.Response]:
        try:
            with self._client.stream("GET", self.address + path, params=dict(query)) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise self._refusal(answer)
                yield answer
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, *, attempts: int = ATTEMPTS, **sent: Any) -> httpx.Response:
        for attempt in range(attempts):
            try:
                answer = self._client.request(method, self.address + path, **sent)
            except httpx.HTTPError as error:
                if attempt == attempts - 1:
                    raise self._unreachable(error) from error
            else:
                if answer.status_code == 200:
                    return answer
                if answer.status_code not in _AGAIN or attempt == attempts - 1:
                    raise self._refusal(answer)
            time.sleep(0.5 * 2**attempt)
        raise AssertionError("there is at least one attempt")

    def _unreachable(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"{self.address} does not answer: {error}",
            code="mlflow.unreachable",
            hint="Look whether the server is up; importing again goes on where this ended.",
        )

    def _refusal(self, answer: httpx.Response) -> CharkhError:
        try:
            fields = cast(Fields, msgspec.json.decode(answer.content))
            said = f"{fields['error_code']}: {fields['message']}"
        except (msgspec.DecodeError, KeyError, TypeError):
            said = f"HTTP {answer.status_code}"
        kind = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 400: Invalid}.get(
            answer.status_code, Unavailable
        )
        if "ALREADY_EXISTS" in said:
            kind = Conflict
        return kind(
            f"{self.address}{answer.request.url.path}: {said[:500]}",
            code="mlflow.refused",
            hint="Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            if kind is Denied
            else "",
        )


def double(value: object) -> float:
    """A double as the protocol writes it: `NaN` and infinities are texts."""
    return float(value) if isinstance(value, int | float | str) else float("nan")


def pairs_of(items: object) -> dict[str, str]:
    """A list of keys and values as a map."""
    found: dict[str, str] = {}
    for item in cast(list[Fields], items) if isinstance(items, list) else []:
        found[str(item.get("key", ""))] = str(item.get("value", ""))
    return found


def _credentials(environment: Mapping[str, str]) -> dict[str, Any]:
    if token := environment.get("MLFLOW_TRACKING_TOKEN", ""):
        return {"headers": {"Authorization": f"Bearer {token}"}}
    if name := environment.get("MLFLOW_TRACKING_USERNAME", ""):
        return {"auth": httpx.BasicAuth(name, environment.get("MLFLOW_TRACKING_PASSWORD", ""))}
    return {}


def _fields(answer: httpx.Response) -> Fields:
    try:
        found: Any = msgspec.json.decode(answer.content) if answer.content.strip() else {}
    except msgspec.DecodeError as error:
        raise Unavailable(
            f"{answer.request.url.copy_with(query=None)} answers with no JSON",
            code="mlflow.no_server",
            hint="Look whether an MLflow server listens at this address.",
        ) from error
    return cast(Fields, found) if isinstance(found, dict) else {}
