"""Where output files of batches may go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgqueue import InvalidArgument
from pgqueue.stores import FileStore, ObjectStore, S3Store


def broken() -> Iterator[str]:
    yield "a"
    raise OSError("the database is away")


def test_files_appear_whole_and_replace_each_other(tmp_path: Path) -> None:
    store: ObjectStore = FileStore(tmp_path / "out")
    where = store.put("a/b.txt", ["ä\r\n", "b\n"])
    assert Path(where) == tmp_path / "out" / "a" / "b.txt"
    assert Path(where).read_bytes() == "ä\r\nb\n".encode()
    assert store.put("a/b.txt", iter(())) == where
    assert Path(where).read_bytes() == b""
    with pytest.raises(OSError, match="away"):
        store.put("a/c.txt", broken())
    assert [file.name for file in (tmp_path / "out" / "a").iterdir()] == ["b.txt"]


@pytest.mark.parametrize("name", ["", "/etc/x", "a/../b", "..", "a//b", "a/\0"])
def test_names_lead_nowhere_else(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot be the name"):
        FileStore(tmp_path).put(name, ["x"])


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a fake S3 in this process, with the bucket `out`."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="out")
        yield client


def read(client: Any, key: str) -> bytes:
    body: bytes = client.get_object(Bucket="out", Key=key)["Body"].read()
    return body


def test_objects_in_a_bucket(s3: Any) -> None:
    store = S3Store("out", "jobs/", s3)
    assert store.put("a/b.txt", ["ä", "b"]) == "s3://out/jobs/a/b.txt"
    assert read(s3, "jobs/a/b.txt") == "äb".encode()
    store.put("a/b.txt", [])
    assert read(s3, "jobs/a/b.txt") == b""
    assert S3Store("out").put("c", ["d"]) == "s3://out/c"  # with boto3's own configuration


def test_large_files_go_up_in_parts(s3: Any) -> None:
    text = "x" * 1_000_000 + "ä\n"
    store = S3Store("out", client=s3)
    store.put("large", [text] * 20)
    assert read(s3, "large") == (text * 20).encode()
    assert s3.head_object(Bucket="out", Key="large")["ETag"].strip('"').endswith("-3")


def test_a_broken_upload_leaves_nothing(s3: Any) -> None:
    def chunks() -> Iterator[str]:
        for _ in range(20):
            yield "x" * 1_000_000
        raise OSError("the database is away")

    with pytest.raises(OSError, match="away"):
        S3Store("out", client=s3).put("large", chunks())
    assert "Contents" not in s3.list_objects_v2(Bucket="out")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="out")
