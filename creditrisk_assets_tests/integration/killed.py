"""A code location of one asset that runs until it is killed, the first time."""

import os
import time
from pathlib import Path

import dagster as dg

PLACE = "KILLED_PLACE"


@dg.asset
def slow() -> None:
    (Path(os.environ[PLACE]) / str(os.getpid())).touch()
    time.sleep(120)


work = dg.define_asset_job("work", executor_def=dg.in_process_executor)
defs = dg.Definitions(assets=[slow], jobs=[work])
