"""Where output files of batches may go when a batch is over: `@app.processor(…, store=FileStore("/srv/out"))`.

Without a store they stay in the database, where `app.batches.open_file` reads them until the batch is forgotten.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from pgqueue.errors import InvalidArgument

__all__ = ["FileStore", "ObjectStore", "S3Store"]

_PART = 8 * 1024 * 1024
"""Bytes in a part of a multipart upload, but the last: S3 wants at least 5 MiB."""


class ObjectStore(Protocol):
    """Takes files. A worker may be lost while it stores one: the same name comes again then, and replaces it."""

    def put(self, name: str, chunks: Iterable[str]) -> str:
        """Stores a file and returns where it is. `name` has / between its parts; `chunks` are its text, in order."""
        ...


class FileStore:
    """Files in a folder, which is made if need be; the location is the path. A file appears when it is complete."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def put(self, name: str, chunks: Iterable[str]) -> str:
        """Raises InvalidArgument for a name that leads out of the folder, OSError."""
        target = self.folder.joinpath(*_parts(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=".pgqueue-")
        try:
            with open(handle, "w", encoding="utf-8", newline="") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        return str(target)


class S3Store:
    """Objects in a bucket of S3 or what speaks its language; the location is `s3://bucket/key`. Needs boto3: the extra
    `s3`.

    `client`: made by `boto3.client("s3", …)`; None: with boto3's own configuration. A file of more than 8 MiB goes up
    in parts, so that memory holds one of them.
    """

    def __init__(self, bucket: str, prefix: str = "", client: Any = None) -> None:
        if client is None:
            try:
                import boto3  # type: ignore[import-not-found,import-untyped,unused-ignore]
            except ImportError as error:
                raise InvalidArgument("S3Store needs boto3", "pip install 'pgqueue-sql[s3]'") from error
            client = boto3.client("s3")
        self.bucket = bucket
        self.prefix = prefix
        self._client: Any = client

    def put(self, name: str, chunks: Iterable[str]) -> str:
        """Raises InvalidArgument, and what boto3 raises; then nothing of the file is kept."""
        key = self.prefix + "/".join(_parts(name))
        parts = _blocks(chunks)
        first = next(parts)
        second = next(parts, None)
        if second is None:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=first)
        else:
            self._put_parts(key, first, second, parts)
        return f"s3://{self.bucket}/{key}"

    def _put_parts(self, key: str, first: bytes, second: bytes, rest: Iterator[bytes]) -> None:
        where = {"Bucket": self.bucket, "Key": key}
        upload = self._client.create_multipart_upload(**where)["UploadId"]
        done: list[dict[str, Any]] = []
        try:
            for block in _chained(first, second, rest):
                number = len(done) + 1
                answer = self._client.upload_part(**where, UploadId=upload, PartNumber=number, Body=block)
                done.append({"ETag": answer["ETag"], "PartNumber": number})
            self._client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})
        except BaseException:
            self._client.abort_multipart_upload(**where, UploadId=upload)
            raise


def _chained(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _blocks(chunks: Iterable[str]) -> Iterator[bytes]:
    """The text as blocks of the size of a part, the last one smaller; one, if only an empty one, there always is."""
    buffer = bytearray()
    is_first = True
    for chunk in chunks:
        buffer += chunk.encode()
        while len(buffer) > _PART:
            yield bytes(buffer[:_PART])
            del buffer[:_PART]
            is_first = False
    if buffer or is_first:
        yield bytes(buffer)


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise InvalidArgument(f"{name!r} cannot be the name of a stored file", "its parts are names, with / between")
    return parts
