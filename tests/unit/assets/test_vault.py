"""The vaults on their suite: in memory, and over packs in memory, in a folder and in a bucket."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from charkh.assets.vault import PackVault
from charkh.ports.vault import Vault
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.stores.blobs_object import object_blobs
from charkh.testing.vaults import MemoryVault, VaultSuite

Erasures = Callable[[], Mapping[str, str]]


class TestMemoryVault(VaultSuite):
    @pytest.fixture(autouse=True)
    def _medium(self) -> None:
        self.one: MemoryVault | None = None

    def make(self, erasures: Erasures, folder: Path) -> Vault:
        self.one = self.one or MemoryVault(erasures)
        return self.one


class TestPacksInMemory(VaultSuite):
    @pytest.fixture(autouse=True)
    def _medium(self) -> None:
        self.blobs = MemoryBlobs()

    def make(self, erasures: Erasures, folder: Path) -> Vault:
        return PackVault(self.blobs, None, erasures)


class TestPacksInAFolder(VaultSuite):
    def make(self, erasures: Erasures, folder: Path) -> Vault:
        return PackVault(FolderBlobs(folder / "packs"), folder / "index.sqlite", erasures)


@pytest.mark.needs("moto")
class TestPacksInABucket(VaultSuite):
    @pytest.fixture(autouse=True)
    def _medium(self, s3_url: str) -> None:
        self.url = s3_url
        self.vaults = 0

    def make(self, erasures: Erasures, folder: Path) -> Vault:
        self.vaults += 1
        return PackVault(object_blobs(self.url), folder / f"index-{self.vaults}.sqlite", erasures)
