"""The browser's page: the built files of `web/ui/dist`, and `index.html` for every path of the page's own router."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

UI = Path(__file__).parent / "ui" / "dist"
FOREVER = "public, max-age=31536000, immutable"


def routes(folder: Path = UI) -> list[web.RouteDef]:
    """Assets have hashed names and stay cached; the page itself is asked for each time."""

    async def asset(request: web.Request) -> web.StreamResponse:
        path = _inside(folder, request.path.lstrip("/"))
        if path is None:
            raise web.HTTPNotFound
        caching = FOREVER if request.path.startswith("/assets/") else "no-cache"
        return web.FileResponse(path, headers={"Cache-Control": caching})

    async def page(request: web.Request) -> web.StreamResponse:
        named = _inside(folder, request.path.lstrip("/"))
        if named is not None:
            return web.FileResponse(named, headers={"Cache-Control": "no-cache"})
        index = folder / "index.html"
        if not index.is_file():
            raise web.HTTPServiceUnavailable(text="The page is not built: run `make run`, which builds it.\n")
        return web.FileResponse(index, headers={"Cache-Control": "no-cache"})

    return [web.get("/assets/{path:.*}", asset), web.get("/{path:.*}", page)]


def _inside(folder: Path, name: str) -> Path | None:
    """The file of that name, or None when there is none inside the folder."""
    if not name or "\x00" in name:
        return None
    path = (folder / name).resolve()
    return path if path.is_file() and path.is_relative_to(folder.resolve()) else None
