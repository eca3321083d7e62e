"""The OpenAPI document: what FastAPI knows of the routes, with the shapes of answers as components.

What belongs here: rendering. What does not: the shapes (each noun's `schemas`), the words of errors (`errors`), examples (each noun's
`examples`).
"""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

JSON = "application/json"
COMPONENTS = "#/components/schemas/{name}"
DESCRIPTION = """
Probability of default (PD) and decision for raw loan applications, stored before they are answered.

Send the API key as `X-API-Key`. Every answer has an `X-Request-ID`; send your own to find a request again in logs and decisions.
Errors are problem documents (RFC 9457): `type` names the kind, `errors` each broken field by table, row, column and rule.
Columns, bounds and categories of an application are those of the model in use: `GET /schema`.
""".strip()
TAGS = [
    {"name": "scoring", "description": "Decide on applications, ask what would be decided, check a request."},
    {"name": "decisions", "description": "What was decided: read it again, review a referral."},
    {"name": "service", "description": "What answers, whether it can, and how it fares."},
    {"name": "sagemaker", "description": "The container contract of Amazon SageMaker."},
]
RETRIED: dict[str, Any] = {"x-safe-to-retry": True}  # it stores nothing: asked twice, it does no harm


def reference(shape: type[msgspec.Struct]) -> dict[str, str]:
    """Point to a shape among the components."""
    return {"$ref": COMPONENTS.format(name=shape.__name__)}


def answers(shape: type[msgspec.Struct], description: str, **examples: Any) -> dict[str, Any]:
    """Render an answer as a response of a route."""
    told = {name: {"value": value} for name, value in examples.items()}
    return {"description": description, "content": {JSON: {"schema": reference(shape), "examples": told}}}


def takes(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    """Render a JSON body as what FastAPI adds to a route."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema, "examples": examples}}}}


def operation_id(route: APIRoute) -> str:
    """Name a route as its function: clients are generated with these names."""
    return route.name


def document(app: FastAPI, shapes: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    """Render the document of an app.

    Parameters
    ----------
    app
        With all its routes.
    shapes
        What the routes refer to.
    """
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        openapi_version="3.1.0",
    )
    for operations in found["paths"].values():
        for operation in operations.values():
            _without_validation_errors(operation["responses"])
    _, components = msgspec.json.schema_components(shapes, ref_template=COMPONENTS)
    found["components"]["schemas"] = components
    return found


def _without_validation_errors(responses: dict[str, Any]) -> None:
    """Leave out FastAPI's own 422: no route of this app lets FastAPI validate."""
    content = responses.get("422", {}).get("content", {})
    if content.get(JSON, {}).get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]
