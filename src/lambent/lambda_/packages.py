"""Deployment packages on their way in: from a request's bytes or an S3 object to a checked package in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lambent.core.limits import LAMBDA_UNZIPPED_BYTES, LAMBDA_ZIPPED_BYTES
from lambent.core.operations import Scope
from lambent.core.zips import ArchiveError, ArchiveReason
from lambent.lambda_.errors import CodeStorageExceeded, InvalidParameterValue, RequestEntityTooLarge
from lambent.lambda_.model import Package
from lambent.storage.blobs import BlobStore, QuotaExceeded
from lambent.storage.code_store import CodeStore

EMPTY_ZIP = "Uploaded file must be a non-empty zip"
BAD_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
_NO_ENTRIES = b"PK\5\6"  # a zip that begins with the end of its directory


class ObjectMissing(Exception):
    """There is no such bucket, object or version; `code` and `message` are S3's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ObjectReader(Protocol):
    """Reads packages from S3."""

    async def read(self, scope: Scope, bucket: str, key: str, version_id: str | None) -> bytes:
        """The object's bytes. Raises ObjectMissing."""


class Packages:
    """Receives packages. Without an object reader no bucket exists."""

    def __init__(self, *, blobs: BlobStore, code: CodeStore, objects: ObjectReader | None = None) -> None:
        self._blobs = blobs
        self._code = code
        self._objects = objects

    async def receive(self, scope: Scope, source: Mapping[str, Any]) -> Package:
        """The package that `Code`'s members give (ZipFile, or S3Bucket, S3Key, S3ObjectVersion), stored and unpacked.

        The blob collector leaves the caller the time to store a reference to it. Raises InvalidParameterValue (no or
        several sources, S3's errors, not a zip, an empty one, too large unzipped), RequestEntityTooLarge (over 50 MB
        zipped) and CodeStorageExceeded; nothing is kept then.
        """
        zipped = await self._zip_of(scope, source)
        if not zipped or zipped.startswith(_NO_ENTRIES):
            raise InvalidParameterValue(EMPTY_ZIP)
        try:
            blob = await self._blobs.put(zipped)
        except QuotaExceeded as error:
            raise CodeStorageExceeded(
                "Code storage limit exceeded.", headers={"x-lambent-detail": str(error)}
            ) from error
        try:
            unpacked = await self._code.check_and_unpack(blob.sha256)
        except ArchiveError as error:
            await self._blobs.delete(blob.sha256)  # nothing refers to what cannot be unpacked
            raise refused(error) from error
        except KeyError as error:
            raise InvalidParameterValue(BAD_ZIP) from error  # refused just now for another request with the same bytes
        return Package(sha256=blob.sha256, zip_bytes=blob.size_bytes, unzipped_bytes=unpacked.size_bytes)

    async def _zip_of(self, scope: Scope, source: Mapping[str, Any]) -> bytes:
        bucket, key = source.get("S3Bucket"), source.get("S3Key")
        if "ZipFile" in source:
            if bucket or key or source.get("S3ObjectVersion"):
                raise InvalidParameterValue(
                    "Please do not provide other FunctionCode parameters when providing a ZipFile."
                )
            zipped: bytes = source["ZipFile"]
            # S3 objects may be larger zipped; only a direct upload has this limit.
            if len(zipped) > LAMBDA_ZIPPED_BYTES:
                raise RequestEntityTooLarge(f"Zipped size must be smaller than {LAMBDA_ZIPPED_BYTES} bytes")
            return zipped
        if not bucket or not key:
            raise InvalidParameterValue("Please provide a source for function code.")
        try:
            if self._objects is None:
                raise ObjectMissing("NoSuchBucket", "The specified bucket does not exist")
            return await self._objects.read(scope, bucket, key, source.get("S3ObjectVersion"))
        except ObjectMissing as missing:
            raise InvalidParameterValue(
                f"Error occurred while GetObject. S3 Error Code: {missing.code}. S3 Error Message: {missing.message}"
            ) from missing


def refused(error: ArchiveError) -> InvalidParameterValue:
    """AWS's error for an archive that cannot be unpacked."""
    if error.reason is ArchiveReason.TOO_LARGE:
        return InvalidParameterValue(f"Unzipped size must be smaller than {LAMBDA_UNZIPPED_BYTES} bytes")
    # AWS has one text for all other archives that it does not take; the header says what is wrong with this one.
    return InvalidParameterValue(BAD_ZIP, headers={"x-lambent-detail": str(error)})
