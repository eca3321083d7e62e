"""A dataset on a server that speaks what Kaggle's client asks."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from creditrisk_assets.ingestion.configuration import KaggleDatasetConnection
from creditrisk_assets_tests.unit.ingestion.connectors.counterpart_kaggle_competition import KaggleCounterpart
from creditrisk_assets_tests.unit.ingestion.connectors.kaggle_server import serving_kaggle


class DatasetCounterpart(KaggleCounterpart):
    def connection(self) -> KaggleDatasetConnection:
        return KaggleDatasetConnection(kind="kaggle_dataset", dataset=self.name, endpoint=self.server.url)


@contextmanager
def serve(directory: Path) -> Iterator[Callable[[], DatasetCounterpart]]:
    numbers = itertools.count()
    with serving_kaggle() as server:
        yield lambda: DatasetCounterpart(server, f"lender/default-risk-{next(numbers)}", directory)
