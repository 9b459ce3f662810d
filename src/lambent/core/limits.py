"""The one table of limits, each with the section of AWS's documentation or recordings that it comes from."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Lambda quotas page: "Function configuration, deployment, and execution"
LAMBDA_SYNC_PAYLOAD_BYTES: Final = 6 * MIB
LAMBDA_ASYNC_PAYLOAD_BYTES: Final = 1 * MIB
LAMBDA_RESPONSE_BYTES: Final = 6 * MIB + 100
LAMBDA_STREAMED_RESPONSE_BYTES: Final = 200 * MIB
LAMBDA_CREATE_REQUEST_BYTES: Final = 70_167_211
LAMBDA_ZIPPED_BYTES: Final = 52_428_800
LAMBDA_UNZIPPED_BYTES: Final = 262_144_000
LAMBDA_CODE_STORAGE_BYTES: Final = 80_530_636_800
LAMBDA_ENVIRONMENT_BYTES: Final = 4096
LAMBDA_TIMEOUT_S: Final = 900
LAMBDA_MAX_MEMORY_MB: Final = 10_240
LAMBDA_CLIENT_CONTEXT_BYTES: Final = 3583
LAMBDA_POLICY_BYTES: Final = 20_480
LAMBDA_PAGE_ITEMS: Final = 50
LAMBDA_ACCOUNT_CONCURRENCY: Final = 1000
LAMBDA_UNRESERVED_MINIMUM: Final = 100
LAMBDA_LOG_TAIL_BYTES: Final = 4096
LAMBDA_INIT_TIMEOUT_S: Final = 10.0
LAMBDA_MAX_LAYERS: Final = 5
LAMBDA_MAX_TAGS: Final = 50
# Lambda developer guide, "Lambda function scaling": new environments per function per 10 s
LAMBDA_SCALING_RATE_PER_10_S: Final = 1000
# Entries of one archive: not an AWS number; keeps a bomb of empty files from exhausting inodes.
ARCHIVE_MAX_ENTRIES: Final = 65_535
