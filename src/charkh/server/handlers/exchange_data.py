"""`/api/exchange/data`: records of data segments that grow elsewhere, so that their curves are shown while they do."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from charkh.core.errors import Invalid
from charkh.core.frames import encode_frame, scan_frames
from charkh.core.ids import parse_id
from charkh.ports.exchange_data import DataKnown, DataListed
from charkh.ports.journal import DataHeader
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.workspace.receiving import receiver_of, sealed_among
from charkh.workspace.workspace import Workspace

MAX_BODY = 128 * 1024 * 1024
BYTES = "application/octet-stream"


@get("/api/exchange/data", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_data(state: State) -> list[DataListed]:
    """The data segments that are not sealed."""
    found = workspace_of(state).journal.list_data()
    return [DataListed(header=each.header, size=each.size, live=each.live) for each in found]


@get("/api/exchange/data/{segment:str}", opt={"policy": Policy.READ})
async def read_data(state: State, segment: FromPath[str], start: FromQuery[int] = 0) -> Stream:
    """The records of a data segment from ordinal `start` on, as frames."""
    journal = workspace_of(state).journal
    records = await asyncio.to_thread(journal.read_data, parse_id(segment), max(0, start))

    def frames() -> Iterator[bytes]:
        yield from (encode_frame(record.payload) for record in records)

    return Stream(frames(), media_type=BYTES)


@post(
    "/api/exchange/data/{segment:str}",
    opt={"policy": Policy.EXCHANGE, "role": "writer"},
    status_code=200,
    request_max_body_size=MAX_BODY,
)
async def take_data(
    request: Request[Any, Any, State], state: State, segment: FromPath[str], start: FromQuery[int]
) -> DataKnown:
    """Take records from ordinal `start` on: the segment's header in a frame, and then the records in theirs.

    The same records again change nothing; where earlier ones are missing, the answer says from where to send them.
    """
    body = await request.body()
    return await asyncio.to_thread(_take, workspace_of(state), segment, start, body)


def _take(workspace: Workspace, segment: FromPath[str], start: int, body: bytes) -> DataKnown:
    scan = scan_frames(body)
    if scan.end != len(body) or not scan.frames or start < 0:
        raise _no_records("frames that are whole")
    try:
        header = msgspec.msgpack.decode(scan.frames[0].payload, type=DataHeader)
    except msgspec.MsgspecError as error:
        raise _no_records(f"a header: {error}") from error
    if header.segment != parse_id(segment):
        raise _no_records("the header of this segment")
    receiver = receiver_of(workspace.journal)
    if not receiver.has_data(segment) and sealed_among(workspace, [segment]):
        return DataKnown(known=0, sealed=True)
    return DataKnown(known=receiver.take_data(header, start, [frame.payload for frame in scan.frames[1:]]))


def _no_records(what: str) -> Invalid:
    return Invalid(
        f"the body does not say {what}",
        code="exchange.bad_frames",
        hint="Send a frame with the segment's header and one for each record.",
    )


HANDLERS = (list_data, read_data, take_data)
