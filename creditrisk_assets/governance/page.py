"""Documents as pages: one self-contained HTML file each, for people who were never trained to read one.

What belongs here: rendering. What does not: what a document tells (`documents`). The page is a function of the document alone (and of the
pictures it names), so that rendering it again tells whether somebody edited it.
"""

import base64
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jinja2

from creditrisk_assets.governance.documents import HERE

SHARE = re.compile(r"(?:^|_)(?:share|rate|pd|flipped|worse)$")  # columns of which people say per cent
Json = Mapping[str, Any]
Picture = Callable[[str, str, str], bytes]  # artefact, version, file -> its bytes


def render_document(document: Json, picture: Picture) -> str:
    """Render a document.

    Parameters
    ----------
    document
        As `documents.make_document` makes it.
    picture
        Reads the pictures it names.
    """
    return _environment().get_template("document.html").render(document=document, embed=_embed(picture))


def render_index(index: Json) -> str:
    """Render the index page: how complete the file is, and where each item is."""
    return _environment().get_template("index.html").render(index=index)


def _embed(picture: Picture) -> Callable[[Json], str]:
    def embed(evidence: Json) -> str:
        content = picture(evidence["artefact"], evidence["version"], evidence["file"])
        return f"data:image/png;base64,{base64.b64encode(content).decode()}"

    return embed


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "shown": shown,
        "short": lambda text: str(text)[:10],
        "words": lambda text: text.replace("_", " "),
        "form": lambda column: "percent" if SHARE.search(column) else "auto",
    }
    return environment


def shown(value: Any, form: str = "auto") -> str:
    """Render a value for people: four significant digits, thousands parted.

    Examples
    --------
    >>> shown(0.74586), shown(0.0799, "percent"), shown(3075), shown(None)
    ('0.7459', '8.0 %', '3,075', '–')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if form == "size" and isinstance(value, list | Mapping):
        return f"{len(value):,}"
    if isinstance(value, int | float) and form == "percent":
        return f"{100 * value:.1f} %"
    if isinstance(value, int) or (isinstance(value, float) and form == "count"):
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(shown(one) for one in value) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {shown(one)}" for name, one in value.items()) or "none"
    return str(value)
