"""The page's files as they are served: never from elsewhere, and nothing else beside them.

The policy lets a browser load from here only, run no inline script or style, and turn no text into
HTML (trusted types): what models say cannot become part of the page by any mistake of ours.
"""

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
    "Cache-Control": "no-cache",  # ask each time whether it changed: an upgrade is seen at once
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page.

    Attributes:
        tag: changes with the content.
    """

    content: bytes
    type: str
    tag: str

    def reply(self, known: str) -> Response:
        """It, or that it is still the same.

        Args:
            known: the request's `If-None-Match`.
        """
        headers = {**_HEADERS, "ETag": self.tag}
        tags = (tag.strip().removeprefix("W/") for tag in known.split(","))
        if self.tag in tags:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.type)


def assets() -> dict[str, File]:
    """Path below `assets/` → file; read once."""
    folder = files("slmmux.gateway.page").joinpath("assets")
    return {name: _read(entry) for name, entry in _walk(folder, "")}


def routes() -> list[Route]:
    """`/` and `/assets/…`; links between them are relative, so that a prefix does no harm."""
    found = assets()
    page = found.pop("index.html")

    async def index(request: Request) -> Response:
        return page.reply(request.headers.get("if-none-match", ""))

    async def asset(request: Request) -> Response:
        file = found.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        return file.reply(request.headers.get("if-none-match", ""))

    return [Route("/", index), Route("/assets/{name:path}", asset)]


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{path}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield f"{path}{entry.name}", entry


def _read(entry: Traversable) -> File:
    content = entry.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return File(content, _TYPES[entry.name.rpartition(".")[2]], tag)
