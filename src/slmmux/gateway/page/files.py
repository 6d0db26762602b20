"""The page's files as they are served: never from elsewhere, and nothing else beside them.

The policy lets a browser load from here only, run no inline script or style, and turn no text into
HTML (trusted types): what models say cannot become part of the page by any mistake of ours.

Links lead to `assets/DIGEST/…`, where DIGEST is of all files: what is found there never changes, so
browsers keep it, and an upgraded page never meets files of the one before. Files link to each other
relatively and are found in the same place.
"""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "woff2": "font/woff2",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}
_ASK = "no-cache"  # each time whether it changed: an upgrade is seen at once
_KEEP = "max-age=31536000, immutable"
_SMALL = 0.9  # of its size: what shrinks less is sent as it is


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page.

    Attributes:
        packed: the same by gzip; None where that is hardly smaller.
        tag: changes with the content.
    """

    content: bytes
    packed: bytes | None
    type: str
    tag: str

    def reply(self, request: Request, keeping: str) -> Response:
        """It, or that it is still the same.

        Args:
            request: what the browser has, and whether it unpacks.
            keeping: how long the browser may keep it without asking.
        """
        packed = self.packed if _unpacks(request.headers.get("accept-encoding", "")) else None
        tag = f'"{self.tag}"' if packed is None else f'"{self.tag}-gzip"'
        headers = {**_HEADERS, "Cache-Control": keeping, "ETag": tag}
        known = request.headers.get("if-none-match", "").split(",")
        if tag in (one.strip().removeprefix("W/") for one in known):
            return Response(status_code=304, headers=headers)
        if packed is None:
            return Response(self.content, headers=headers, media_type=self.type)
        headers["Content-Encoding"] = "gzip"
        return Response(packed, headers=headers, media_type=self.type)


def assets() -> dict[str, File]:
    """Path below `assets/` → file; read once."""
    folder = files("slmmux.gateway.page").joinpath("assets")
    return {name: _read(entry) for name, entry in _walk(folder, "")}


def routes() -> list[Route]:
    """`/` and `/assets/…`; links between them are relative, so that a prefix does no harm."""
    found = assets()
    digest = _digest(found)
    linked = found.pop("index.html").content.replace(b'"assets/', f'"assets/{digest}/'.encode())
    page = _file(linked, _TYPES["html"])

    async def index(request: Request) -> Response:
        return page.reply(request, _ASK)

    async def asset(request: Request) -> Response:
        version, _, name = request.path_params["name"].partition("/")
        kept = version == digest
        file = found.get(name if kept else request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        return file.reply(request, _KEEP if kept else _ASK)

    return [Route("/", index), Route("/assets/{name:path}", asset)]


def _digest(found: dict[str, File]) -> str:
    whole = "".join(f"{name} {found[name].tag}\n" for name in sorted(found))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _unpacks(accepted: str) -> bool:
    """Whether an `Accept-Encoding` names gzip, and does not forbid it with q=0."""
    for one in accepted.lower().split(","):
        coding, _, quality = one.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return quality.strip("0.") != "" or quality == ""
    return False


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{path}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield f"{path}{entry.name}", entry


def _read(entry: Traversable) -> File:
    return _file(entry.read_bytes(), _TYPES[entry.name.rpartition(".")[2]])


def _file(content: bytes, kind: str) -> File:
    packed = gzip.compress(content, 6, mtime=0)
    smaller = packed if len(packed) < _SMALL * len(content) else None
    return File(content, smaller, kind, hashlib.sha256(content).hexdigest()[:32])
