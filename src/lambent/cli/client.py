"""How commands talk to a running server: signed requests to AWS's operations and to Lambent's own routes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode, urlsplit

import typer

from lambent.core.config import DEFAULT_ACCOUNT, DEFAULT_PORT, DEFAULT_REGION
from lambent.core.errors import UserFacingError

if TYPE_CHECKING:
    from botocore.session import Session

DEFAULT_ENDPOINT = f"http://127.0.0.1:{DEFAULT_PORT}"

EndpointOption = Annotated[
    str, typer.Option("--endpoint", metavar="URL", envvar="AWS_ENDPOINT_URL", help="The server to talk to.")
]


class Server:
    """A running server. Every method raises UserFacingError when it cannot be reached or refuses."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise UserFacingError(f"{endpoint} is no endpoint; it looks like {DEFAULT_ENDPOINT}")
        self.endpoint = f"{parts.scheme}://{parts.netloc}"
        self._parts = parts

    def get(self, path: str, **query: str) -> Any:
        """The JSON that one of Lambent's own routes answers."""
        with self._exchange("GET", path, query) as response:
            return json.load(response)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """The JSON that one of Lambent's own routes answers to `body`."""
        with self._exchange("POST", path, {}, json.dumps(body).encode()) as response:
            text = response.read()
            return json.loads(text) if text else None

    def converse(self, path: str, body: Mapping[str, object]) -> Iterator[Any]:
        """The JSON lines that one of Lambent's own routes answers to `body`, as they come."""
        with self._exchange("POST", path, {}, json.dumps(body).encode()) as response:
            while line := response.readline():
                yield json.loads(line)

    def stream(self, path: str, **query: str) -> Iterator[Any]:
        """The JSON lines of one of Lambent's own routes, as they come."""
        with self._exchange("GET", path, query) as response:
            while line := response.readline():
                yield json.loads(line)

    def scope(self) -> dict[str, str]:
        """The account and region that AWS requests of this user belong to."""
        session = _session()
        access_key = session.get_credentials().access_key
        is_account = len(access_key) == 12 and access_key.isascii() and access_key.isdigit()
        account = access_key if is_account else DEFAULT_ACCOUNT
        return {"account": account, "region": session.get_config_variable("region")}

    def aws(self, service: str, **config: Any) -> Any:
        """A botocore client. Failed requests are not repeated: an invoke may have had its effect."""
        from botocore.config import Config

        settings: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5} | config
        return _session().create_client(service, endpoint_url=self.endpoint, config=Config(**settings))

    @contextlib.contextmanager
    def talking(self) -> Iterator[None]:
        """Turns what a botocore client raises into one line for the user."""
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

        try:
            yield
        except ClientError as error:
            raise UserFacingError(_sentence(error.response["Error"])) from error
        except EndpointConnectionError as error:
            raise self._unreachable() from error
        except BotoCoreError as error:
            raise UserFacingError(str(error)) from error

    @contextlib.contextmanager
    def _exchange(
        self, method: str, path: str, query: Mapping[str, str], body: bytes = b""
    ) -> Iterator[http.client.HTTPResponse]:
        target = path + (f"?{urlencode(query)}" if query else "")
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        # No read timeout: a followed log may be silent for hours.
        connection = kind(self._parts.hostname or "", self._parts.port)
        try:
            connection.request(method, target, body=body or None, headers=self._headers(method, target, body))
            response = connection.getresponse()
            if response.status >= 300:
                raise UserFacingError(_refusal(response))
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable() from error
        finally:
            connection.close()

    def _headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        # The proof header is one that no web page can send: it stands in for a signature that nobody checks.
        headers = {"x-lambent": "cli", "content-type": "application/json", "host": self._parts.netloc}
        request = AWSRequest(method=method, url=self.endpoint + target, data=body, headers=headers)
        session = _session()
        SigV4Auth(session.get_credentials(), "lambent", session.get_config_variable("region")).add_auth(request)
        return dict(request.headers.items())

    def _unreachable(self) -> UserFacingError:
        return UserFacingError(
            f"no server answers at {self.endpoint}; start one with `lambent up`, or name another with --endpoint"
        )


def _session() -> Session:
    """The user's credentials and region as for any AWS tool, with stand-ins for what is not set."""
    import botocore.exceptions
    import botocore.session

    session = botocore.session.Session()
    with contextlib.suppress(botocore.exceptions.ProfileNotFound):
        if session.get_config_variable("region") is None:
            session.set_config_variable("region", os.environ.get("AWS_REGION", DEFAULT_REGION))
        # Asking the instance metadata service would only delay every command by seconds.
        session.get_component("credential_provider").remove("iam-role")
        if session.get_credentials() is None:
            session.set_credentials("lambent", "lambent")
        return session
    raise UserFacingError(f"the AWS profile {session.profile} is not configured; unset AWS_PROFILE or configure it")


def _refusal(response: http.client.HTTPResponse) -> str:
    text = response.read(65_536)
    try:
        error = json.loads(text)
    except ValueError:
        error = {}
    return _sentence(error if isinstance(error, dict) else {}) or f"the server answered {response.status}"


def _sentence(error: Mapping[str, Any]) -> str:
    """`Code: message` in one line."""
    code = str(error.get("Code") or error.get("code") or error.get("__type") or "").rpartition("#")[2]
    message = str(error.get("Message") or error.get("message") or "")
    return " ".join(f"{code}: {message}".strip(": ").split())
