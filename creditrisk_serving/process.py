"""The application as a server process of its own runs it.

What belongs here: what only a dedicated process may do. What does not: the application (`app`), the command that starts it (`cli`).
"""

import sys
from typing import Any

from fastapi import FastAPI

from creditrisk_serving.app import create_app


def create() -> FastAPI:
    """Build the application for a server process."""
    forget_pandas()
    return create_app()


def forget_pandas() -> None:
    """Make pandas impossible to import: DuckDB would import it, where it is installed, to look at every bound value (160 MB)."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("pandas", None)
