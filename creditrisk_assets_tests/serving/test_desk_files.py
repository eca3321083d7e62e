"""The files of the decision desk: what a browser may do with them."""

import re

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_serving.desk.endpoints import FILES

PATHS = ["/", *(f"/desk/{name}" for name in FILES)]


@pytest.mark.parametrize("path", PATHS)
def test_the_files_need_no_key_and_have_a_strict_policy(shared: Client, path: str) -> None:
    reply = shared.get(path, x_api_key="")
    policy = reply.headers["content-security-policy"]
    assert reply.status == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)
    assert "require-trusted-types-for 'script'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_answers_of_the_api_keep_the_policy_that_allows_nothing(shared: Client) -> None:
    assert shared.get("/health").headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors")


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(shared: Client) -> None:
    for path in PATHS:
        content = shared.get(path).body.decode().replace("http://www.w3.org/", "")
        assert not re.search(
            r"https?://|\son\w+=\"|\sstyle=|innerHTML|insertAdjacentHTML|document\.write|eval\(", content
        )
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style", content)
