"""Who may talk to the endpoint at all, before anybody looks at what they say.

A server on loopback that accepts any credentials can be reached by every web page that its user opens. What
such a page can send is limited by the browser, and the gate refuses exactly that: a Host that was rebound to
this machine by the attacker's DNS, an Origin that is not ours, a fetch from another site, and a request
without a signature (a page cannot set `Authorization` without a preflight, and preflights are refused).
Which paths may be asked without a signature is decided by the dispatcher, which knows what each of them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from lambent.server import hosts

Reason = Literal["host", "origin", "site", "preflight"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request may not talk to this endpoint. The message is one sentence for the person who caused it."""

    reason: Reason
    message: str


class Gate:
    """Decides from the request's headers alone. Pure but for a small memory of Host values that it let pass.

    `allowed_hosts` are further host names; scheme, port and path in them are ignored. `address_literals` lets any IP
    address be the Host: a name is what DNS rebinding needs, and a server that listens beyond loopback verifies
    signatures. Each check can be switched off, which only the tests that show its worth do.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Iterable[str] = (),
        address_literals: bool = False,
        check_host: bool = True,
        check_origin: bool = True,
    ) -> None:
        self._hosts = frozenset(name for host in allowed_hosts if (name := hosts.split_host(_authority(host))))
        self._address_literals = address_literals
        self._check_host = check_host
        self._check_origin = check_origin
        self._passed: set[str] = set()

    def refuse(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """None when the request may talk; header names are lower case."""
        host = headers.get("host", "")
        if host not in self._passed:
            if self._check_host and not self.knows(host):
                return Refusal(reason="host", message=_HOST.format(host=host[:255]))
            # Bounded, since the names of buckets and functions are part of host names.
            if len(self._passed) >= _MEMORY:
                self._passed.clear()
            self._passed.add(host)
        if not self._check_origin:
            return None
        origin = headers.get("origin")
        if origin is not None:
            if not self._own(origin, host):
                return Refusal(reason="origin", message=_ORIGIN.format(origin=origin[:255]))
        # Browsers leave Origin out of plain GETs (images, links, forms); this header they always send.
        elif headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            return Refusal(reason="site", message=_SITE)
        if method == "OPTIONS" and "access-control-request-method" in headers:
            # A page of our own origin never asks first.
            return Refusal(reason="preflight", message=_SITE)
        return None

    def knows(self, host: str) -> bool:
        """Whether a Host header names this endpoint."""
        name = hosts.split_host(host)
        if name is None:
            return False
        if name in self._hosts or hosts.is_loopback(name):
            return True
        address = hosts.literal(name)
        if address is not None:
            # 0.0.0.0 reaches loopback from a browser past its private-network checks; nobody needs it as a name.
            return self._address_literals and not address.is_unspecified
        return hosts.service_host(name) is not None

    @staticmethod
    def _own(origin: str, host: str) -> bool:
        scheme, separator, authority = origin.lower().partition("://")
        return bool(separator) and scheme in {"http", "https"} and authority == host.lower()


_MEMORY = 1024
_OWN_SITES = frozenset({"same-origin", "none"})
_HOST = (
    "Lambent does not answer to the host name '{host}'. Use localhost, or add the name to the server's allowed hosts."
)
_ORIGIN = "Requests from the origin '{origin}' are refused: only this server's own pages may call it from a browser."
_SITE = "Requests that another web site makes a browser send are refused."


def _authority(host: str) -> str:
    """`host[:port]` of a configured name that may carry a scheme and a path."""
    return host.rpartition("://")[2].partition("/")[0]
