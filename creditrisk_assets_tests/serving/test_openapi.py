"""The OpenAPI document: its examples run, and it changes only on purpose.

To accept a change: `python -m creditrisk_assets_tests.serving.test_openapi` writes the snapshot anew.
"""

import json
from pathlib import Path

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_serving.app import create_app
from creditrisk_serving.scoring.examples import PREDICT_EXAMPLES

SNAPSHOT = Path(__file__).with_name("openapi.json")


def rendered() -> str:
    return json.dumps(create_app().openapi(), indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("name", PREDICT_EXAMPLES)
def test_examples_run(shared: Client, name: str) -> None:
    document = shared.get("/openapi.json").json()
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    example = content["examples"][name]["value"]
    answer = shared.post("/predict", example).json()
    assert (answer["scored"], answer["failed"]) == (1, 0)
    assert shared.post("/validate", example).json()["valid"] is True


def test_the_document_is_the_one_agreed_on() -> None:
    assert rendered() == SNAPSHOT.read_text()


def test_errors_are_declared_as_problems() -> None:
    responses = create_app().openapi()["paths"]["/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "409", "413", "415", "422", "429", "503"}
    assert set(responses["422"]["content"]) == {"application/problem+json"}


if __name__ == "__main__":
    SNAPSHOT.write_text(rendered())
