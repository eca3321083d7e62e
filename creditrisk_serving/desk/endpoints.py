"""The decision desk: a page of static files that asks the service's own routes.

What belongs here: sending the files, and what a browser may do with them. What does not: any logic of scoring (the page asks the routes
programs ask), the page itself (`page/`).
"""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

FILES = {
    "desk.html": "text/html; charset=utf-8",
    "desk.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **{
        f"{module}.js": "text/javascript; charset=utf-8"
        for module in ("main", "service", "elements", "form", "answer", "plot")
    },
}
HEADERS = {
    # No inline script or style, nothing from elsewhere, no text ever read as HTML.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "no-cache",
}
router = APIRouter(include_in_schema=False)


@cache
def _content(name: str) -> bytes:
    return (files("creditrisk_serving.desk") / "page" / name).read_bytes()


def _add(path: str, name: str) -> None:
    async def send() -> Response:
        return Response(_content(name), headers={**HEADERS, "Content-Type": FILES[name]})

    router.add_api_route(path, send, name=name)


_add("/", "desk.html")
for _name in FILES:
    _add(f"/desk/{_name}", _name)
