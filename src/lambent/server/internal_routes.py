"""Routes of our own under `/_lambent/`: health, status, logs, the console's data.

A web page can make a browser send GETs and simple POSTs without asking anyone. So only GET routes may be anonymous,
and they must not change anything; every other request needs a header that no page can set without a preflight,
or a signature where signatures are verified.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lambent.core.errors import AwsError, InternalFailure
from lambent.server import answers, auth_errors, authenticator
from lambent.server.asgi import BodyTooLarge, ClientGone, Incoming
from lambent.server.authenticator import Authenticator
from lambent.server.wire import WireResponse

log = logging.getLogger("lambent.routes")

PREFIX = "/_lambent/"
PROOF_HEADER = "x-lambent"
SIGNING_NAME = "lambent"
MAX_BODY_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalRequest:
    """A request to one of our own routes. `rest` is what follows the path of a route that ends in `/*`.

    `body` is complete.
    """

    incoming: Incoming
    request_id: str
    rest: str
    body: bytes


InternalHandler = Callable[[InternalRequest], Awaitable[WireResponse]]


class NoSuchRoute(AwsError):
    code = "ResourceNotFoundException"
    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    handler: InternalHandler
    anonymous: bool


class InternalRoutes:
    """The table of our own routes and who may ask for them."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._exact: dict[tuple[str, str], _Route] = {}
        self._prefixes: dict[tuple[str, str], _Route] = {}

    def add(self, method: str, path: str, handler: InternalHandler, *, anonymous: bool = False) -> None:
        """Serve `path`, which starts with `/_lambent/`; one that ends in `/*` covers everything below it.

        Raises ValueError for other paths, for paths that are taken, and for anonymous routes that are no GET.
        """
        if not path.startswith(PREFIX):
            raise ValueError(f"our own routes are below {PREFIX}, {path} is not")
        if anonymous and method != "GET":
            raise ValueError("an anonymous route could be called by any web page, so it must be a GET")
        table, key = (self._prefixes, path[:-1]) if path.endswith("/*") else (self._exact, path)
        if (method, key) in table:
            raise ValueError(f"{method} {path} is taken")
        table[method, key] = _Route(handler=handler, anonymous=anonymous)

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path is one of ours; no AWS service or bucket can have such a path."""
        return path.startswith(PREFIX)

    async def answer(self, incoming: Incoming, request_id: str) -> WireResponse:
        """The route's answer, or the reason why there is none."""
        try:
            route, rest = self._find(incoming)
            body = await incoming.read(MAX_BODY_BYTES)
            if not route.anonymous:
                self._admit(incoming, body)
            return await route.handler(InternalRequest(incoming=incoming, request_id=request_id, rest=rest, body=body))
        except BodyTooLarge:
            error: AwsError = answers.RequestEntityTooLarge(MAX_BODY_BYTES, incoming.path)
        except AwsError as raised:
            error = raised
        except ClientGone:
            raise
        except Exception:  # the outermost edge
            log.exception("%s %s failed; request id %s", incoming.method, incoming.path, request_id)
            error = InternalFailure("The request failed; the server's log says why.")
        return answers.json_error(error, request_id=request_id)

    def _find(self, incoming: Incoming) -> tuple[_Route, str]:
        method = "GET" if incoming.method == "HEAD" else incoming.method
        route = self._exact.get((method, incoming.path))
        if route is not None:
            return route, ""
        for (wanted, prefix), candidate in self._prefixes.items():
            if wanted == method and incoming.path.startswith(prefix):
                return candidate, incoming.path[len(prefix) :]
        raise NoSuchRoute(f"Lambent has no route {incoming.method} {incoming.path[:256]}")

    def _admit(self, incoming: Incoming, body: bytes) -> None:
        claim = self._authenticator.claim(incoming)
        if self._authenticator.verifies:
            if claim is None:
                raise auth_errors.MissingAuthenticationToken
            self._authenticator.verify(claim, incoming, service=SIGNING_NAME, body=body)
            if authenticator.is_chunked(incoming.headers):
                raise auth_errors.InvalidSignature("Requests to Lambent's own routes must sign their whole body.")
        elif PROOF_HEADER not in incoming.headers and "authorization" not in incoming.headers:
            # A presigned query would be no proof here: any page can put one into a link.
            raise auth_errors.MissingProof(PROOF_HEADER)
