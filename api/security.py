"""What every request must satisfy and every answer carries: known host, same origin, bounded body, strict headers."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import RequestRefusedError, make_problem, problem_response

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Probes and scrapers address a process by whatever name they have for it; these answers hold nothing secret.
_ANY_HOST = frozenset({"/livez", "/readyz", "/metrics"})


class SecurityMiddleware:
    """Refuses what must not reach a handler, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Sequence[str], body_bytes_max: int) -> None:
        self._app = app
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
        except RequestRefusedError as error:
            problem = make_problem(scope["path"], error.status, error.title, str(error))
            await problem_response(problem)(scope, receive, send_with_headers)
            return
        await self._app(scope, self._bounded(scope, receive), send_with_headers)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if path not in _ANY_HOST and "*" not in self._allowed_hosts and _name(host) not in self._allowed_hosts:
            raise RequestRefusedError(
                421, "Unknown host", f"Host {host!r} is not served here; add its name to the setting api.allowed_hosts"
            )
        if method not in _SAFE_METHODS:
            _check_origin(headers, host)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._body_bytes_max:
            raise _too_large(self._body_bytes_max)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        seen = 0

        async def bounded_receive() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._body_bytes_max:
                # The framework passes on this kind of error alone when it reads a body.
                raise HTTPException(413, str(_too_large(self._body_bytes_max)))
            return message

        return receive if scope["method"] in _SAFE_METHODS else bounded_receive


def _check_origin(headers: Headers, host: str) -> None:
    """A browser says where a request comes from; another site's page must not act in an inspector's name."""
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site")
    if (site is not None and site not in ("same-origin", "none")) or (
        origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    ):
        raise RequestRefusedError(
            403,
            "Foreign origin",
            f"The request comes from {origin or site!r}, not from {host!r}; send it from the console's own pages,"
            " and let a proxy in front keep the Host header",
        )


def _name(host: str) -> str:
    """The name in a Host header without the port, e.g. `[::1]:8017` -> `[::1]`."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _too_large(limit: int) -> RequestRefusedError:
    return RequestRefusedError(413, "Body too large", f"The body exceeds {limit} bytes; send less")


def _add_headers(headers: MutableHeaders, path: str) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    # A new version of the software may change a file: browsers ask again, by its tag.
    headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
