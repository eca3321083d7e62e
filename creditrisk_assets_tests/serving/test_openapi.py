"""The OpenAPI document: its examples run, and it changes only on purpose.

To accept a change: `python -m creditrisk_assets_tests.serving.test_openapi` writes the snapshot anew.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.portfolio import Portfolio
from creditrisk_serving.app import SHAPES, create_app
from creditrisk_serving.document import JSON

SNAPSHOT = Path(__file__).with_name("openapi.json")
DOCUMENT = json.loads(SNAPSHOT.read_text())


SIGNED = "/approvals"  # its body is a signature of the moment: `test_approvals` sends one


def rendered() -> str:
    return json.dumps(create_app().openapi(), indent=1, sort_keys=True) + "\n"


def examples() -> list[tuple[str, str, str, Any]]:
    """List what can be sent: method, path, media type, body."""
    found: list[tuple[str, str, str, Any]] = []
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {"": {"examples": {"": {"value": None}}}})
            found += [
                (method.upper(), path, media_type, example["value"])
                for media_type, told in content.items()
                for example in told["examples"].values()
                if path != SIGNED
            ]
    return found


@pytest.mark.parametrize(("method", "path", "media_type", "body"), examples())
def test_every_route_has_examples_that_run_and_answers_of_their_shape(
    shared: Client, portfolio: Portfolio, method: str, path: str, media_type: str, body: Any
) -> None:
    applications = [portfolio.application(applicant) for applicant in portfolio.applicants]
    decisions = shared.post("/predict", {"applications": applications}).json()["decisions"]
    noticed = path.endswith("/notice")
    decided = next(one["decision_id"] for one in decisions if one["decision"] == ("decline" if noticed else "refer"))
    if noticed and method == "GET":
        assert shared.post(path.format(decision_id=decided), b"").status == 201
    if path == "/recourse":
        body = {"decision_id": decided}
    sent = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    reply = shared.run(shared.call(method, path.format(decision_id=decided), sent, content_type=media_type or JSON))
    told = DOCUMENT["paths"][path][method.lower()]["responses"][str(reply.status)]
    assert 200 <= reply.status < 300, reply.body
    if not reply.body:
        assert "content" not in told
        return
    answered = reply.headers["content-type"].partition(";")[0]
    assert set(told["content"]) == {answered} | (
        {"text/html", "application/pdf"} if noticed and method == "GET" else set()
    )
    for example in told["content"][answered]["examples"].values():
        if answered == "text/plain":
            assert example["value"] in reply.body.decode()
        else:
            assert same_shape(example["value"], reply.json()), path


def same_shape(example: Any, answer: Any) -> bool:
    """Tell whether two objects have the same names; maps of other names (features, tables) are not looked into."""
    return not isinstance(example, dict) or set(example) == set(answer)


def test_examples_of_answers_hold_their_schemas() -> None:
    shapes = {shape.__name__: shape for shape in SHAPES}
    seen = set()
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                for told in response.get("content", {}).values():
                    assert told["examples"]
                    name = told["schema"].get("$ref", "").removeprefix("#/components/schemas/")
                    for example in told["examples"].values() if name else ():
                        encoded = json.dumps(example["value"])
                        assert msgspec.to_builtins(msgspec.json.decode(encoded, type=shapes[name])) == example["value"]
                        seen.add(name)
    assert seen == set(shapes) - {"ReviewRequest", "RecourseRequest", "ApprovalRequest"}


def test_every_route_says_what_it_does_and_where_it_belongs() -> None:
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert operation["description"]
            assert set(operation["tags"]) <= tags
    names = [o["operationId"] for operations in DOCUMENT["paths"].values() for o in operations.values()]
    assert len(names) == len(set(names))


def test_the_document_is_the_one_agreed_on() -> None:
    assert rendered() == SNAPSHOT.read_text()


def test_errors_are_declared_as_problems() -> None:
    responses = create_app().openapi()["paths"]["/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "409", "413", "415", "422", "429", "503"}
    assert set(responses["422"]["content"]) == {"application/problem+json"}


if __name__ == "__main__":
    SNAPSHOT.write_text(rendered())
