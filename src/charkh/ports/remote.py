"""A remote: another place that holds facts and bytes, as the exchange with it sees both."""

from typing import NamedTuple

from charkh.ports.blobs import Blobs
from charkh.ports.exchange import Exchange


class Remote(NamedTuple):
    """A place to exchange with, whatever medium or server it is.

    Attributes:
        name: as the settings or the user call it.
        address: as it may be shown: without credentials.
        blobs: its medium, laid out as a store's own (docs/formats/packs.md): packs, trash, leases.
        facts: its facts by segment.
        keeps_itself: a server is there that takes erased and damaged bytes off its medium by itself.
    """

    name: str
    address: str
    blobs: Blobs
    facts: Exchange
    keeps_itself: bool = False
