"""The servers and guards of tests/conftest.py are real: each does what the other tests rely on."""

import socket
import subprocess
import sys
import urllib.request

import obstore
import psycopg
import pytest
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store


def test_postgres_databases_are_fresh_and_apart(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute("select count(*) from information_schema.tables where table_schema = 'public'")
        assert tables.fetchone() == (0,)
        connection.execute("create table seen (id int)")


def test_postgres_databases_are_fresh_and_apart_again(postgres_url: str) -> None:
    test_postgres_databases_are_fresh_and_apart(postgres_url)


def test_s3_speaks_ranges_listing_and_conditional_put(s3_url: str) -> None:
    store = S3Store.from_url(s3_url)
    obstore.put(store, "a/b", b"0123456789", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "a/b", b"other", mode="create")
    assert bytes(obstore.get_range(store, "a/b", start=2, end=5)) == b"234"
    assert [meta["path"] for batch in obstore.list(store, "a") for meta in batch] == ["a/b"]


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org"])
def test_the_network_is_closed(host: str) -> None:
    with pytest.raises(OSError, match="no network"):
        socket.create_connection((host, 80), timeout=1)


def test_the_network_is_closed_for_subprocesses() -> None:
    code = "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=5)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode != 0
    assert "refused" in result.stderr.lower()


def test_loopback_is_open(s3_server: object) -> None:
    endpoint = s3_server.endpoint  # type: ignore[attr-defined]
    with urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=10) as answer:
        assert answer.status == 200
