"""Codecs: args and results that the database cannot read.

    app = App(codec=MyCodec(key))         # anything with encode(bytes) -> bytes and decode(bytes) -> bytes

What is sealed stands in the database as {"$sealed": base64, "codec": name}. Of several codecs the first encodes, and
whichever has the name decodes: so keys are rotated.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Protocol, cast

from pgqueue._json import JsonText, dumps_lossy, loads
from pgqueue.errors import CannotUnseal, InvalidArgument, note
from pgqueue.models import JSON

__all__ = ["SEALED", "Codec", "Sealer", "name_of", "sealed_with"]

SEALED = "$sealed"
_FAILURE = {"state", "reason", "error"}


class Codec(Protocol):
    """Encrypts, compresses, or both. Used by many threads at once.

    Its name, which is stored beside what it has encoded, is its attribute `key_id` if it has one, else that of its
    class: give each key its own.
    """

    def encode(self, data: bytes, /) -> bytes:
        """What goes to the database, of JSON in UTF-8."""
        ...

    def decode(self, data: bytes, /) -> bytes:
        """The reverse. Raises whatever it likes when it cannot."""
        ...


def name_of(codec: object) -> str:
    """Raises InvalidArgument for what is no codec."""
    name = getattr(codec, "key_id", None)
    name = type(codec).__name__ if name is None else name
    if not (callable(getattr(codec, "encode", None)) and callable(getattr(codec, "decode", None))):
        raise InvalidArgument(f"{codec!r} is no codec", "give an object with encode(bytes) and decode(bytes)")
    if isinstance(codec, type) or not isinstance(name, str) or not 1 <= len(name) <= 200:
        raise InvalidArgument(f"the codec {codec!r} has no name", "key_id is a text of 1 to 200 characters")
    return name


def sealed_with(document: Any) -> str | None:
    """The name of the codec of what is sealed; None for anything else."""
    if type(document) is not dict or SEALED not in document:
        return None
    name = document.get("codec")
    return name if isinstance(name, str) and isinstance(document[SEALED], str) else None


class Sealer:
    """Seals and opens. Without codecs it is false, seals nothing, and refuses what others have sealed."""

    def __init__(self, codecs: Iterable[Codec] = ()) -> None:
        self._codecs: dict[str, Codec] = {}
        for codec in codecs:
            name = name_of(codec)
            if name in self._codecs:
                raise InvalidArgument(
                    f"two codecs have the name {name!r}",
                    "give each a key_id of its own: what they decode is told by it",
                )
            self._codecs[name] = codec
        self._name = next(iter(self._codecs), "")

    def __bool__(self) -> bool:
        return bool(self._codecs)

    def seal(self, text: JsonText) -> JsonText:
        """A document, in its place the sealed one. Raises what the codec raises, and InvalidArgument."""
        return cast(JsonText, json.dumps(self._document(text)))

    def _document(self, text: JsonText) -> dict[str, JSON]:
        try:
            made = self._codecs[self._name].encode(text.encode())
        except Exception as error:
            note(error, f"raised by the codec {self._name!r}")
            raise
        if not isinstance(made, bytes | bytearray | memoryview):
            raise InvalidArgument(f"the codec {self._name!r} made {type(made).__name__}", "encode returns bytes")
        return {SEALED: b64encode(made).decode(), "codec": self._name}

    def open(self, document: JSON) -> JSON:
        """What was sealed; anything else is returned as it is. Raises CannotUnseal."""
        name = sealed_with(document)
        return document if name is None else self._opened(name, document[SEALED])

    def open_args(self, args: dict[str, JSON]) -> dict[str, JSON]:
        """The args of a job. What has been put beside the sealed ones, or into plain ones, is opened one by one: a
        follow-up gets its parent's result, or how it failed, as it is stored. Raises CannotUnseal.
        """
        beside = {key: self._open_passed(value) for key, value in args.items()}
        if SEALED not in args:
            return beside
        name = sealed_with(args)
        if name is None:
            raise CannotUnseal(f"the args of this job have the key {SEALED!r} and are not sealed")
        made = self._opened(name, args[SEALED])
        if type(made) is not dict:
            raise CannotUnseal(f"what is sealed with the codec {name!r} is no JSON object, as args are")
        del beside[SEALED], beside["codec"]
        return {**made, **beside}

    def _open_passed(self, value: JSON) -> JSON:
        """What the SQL function settle may have put into args: on_error gets the stored error within an object."""
        if type(value) is dict and value.keys() == _FAILURE:
            return {**value, "error": self.open_error(value["error"])}
        return self.open(value)

    def _opened(self, name: str, text: str) -> JSON:
        codec = self._codecs.get(name)
        if codec is None:
            known = ", ".join(map(repr, self._codecs)) or "none"
            raise CannotUnseal(
                f"this is sealed with the codec {name!r}, which this App does not have",
                f"it has: {known}; see App(codec=…)",
            )
        try:
            data = b64decode(text, validate=True)
        except binascii.Error as error:
            raise CannotUnseal(f"what is sealed with the codec {name!r} is no base64: {error}") from error
        try:
            return loads(bytes(codec.decode(data)).decode())
        except Exception as error:
            raise CannotUnseal(
                f"the codec {name!r} cannot decode this: {type(error).__name__}: {error}",
                "is it the key it was sealed with?",
            ) from error

    # -- errors -------------------------------------------------------------------------------------------------------

    def seal_error(self, text: JsonText) -> JsonText:
        """An error document with only its type to be read. Never fails: what cannot be sealed is left out."""
        kind = cast("dict[str, JSON]", loads(text)).get("type")
        try:
            told, sealed = f"sealed with the codec {self._name!r}", self._document(text)
        except Exception as error:
            told, sealed = f"left out: it could not be sealed ({type(error).__name__})", {}
        return dumps_lossy({"type": kind, "message": told, "traceback": None, **sealed})

    def open_error(self, document: dict[str, Any] | None) -> dict[str, Any] | None:
        """The error document, as it is if it cannot be opened: it says so itself."""
        try:
            made = self.open(document)
        except CannotUnseal:
            return document
        return made if isinstance(made, dict) else document
