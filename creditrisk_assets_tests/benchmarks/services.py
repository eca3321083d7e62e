"""The services the benchmark measures ours beside: the floor, and what is built with FastAPI and pandas.

What belongs here: one application per contender. What does not: starting and asking them (`serving`).
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

JSON = "application/json"


def echo() -> FastAPI:
    """Answer what was sent: FastAPI's and uvicorn's own cost."""
    app = _application()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        return Response(await request.body(), media_type=JSON)

    return app


def careful() -> FastAPI:
    """One data frame, LightGBM's booster on one thread, no validation: as fast as pandas lets a service be. The caller sends the inputs."""
    import msgspec
    import pandas as pd

    names, codes, pds_of = _model()
    app = _application()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        sent = msgspec.json.decode(await request.body())["dataframe_split"]
        frame = pd.DataFrame(sent["data"], columns=sent["columns"])
        for name, known in codes.items():
            frame[name] = frame[name].map(known)
        return Response(msgspec.json.encode({"pds": pds_of(frame[names])}), media_type=JSON)

    return app


def looking() -> FastAPI:
    """The careful service asked by id: all inputs lie encoded in a data frame in its memory, and it does nothing but score."""
    import msgspec
    import pandas as pd

    names, codes, pds_of = _model()
    stored = pd.read_parquet(os.environ["BENCH_FEATURES"], columns=["sk_id_curr", *names]).set_index("sk_id_curr")
    for name, known in codes.items():
        stored[name] = stored[name].map(known)
    stored = stored.astype("float32")
    app = _application()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        ids = msgspec.json.decode(await request.body())["applicant_ids"]
        return Response(msgspec.json.encode({"pds": pds_of(stored.loc[ids])}), media_type=JSON)

    return app


def _model() -> tuple[list[str], dict[str, dict[str, int]], Callable[[Any], list[float]]]:
    """Load the champion as a careful team would: its inputs, the numbers of its categories, and PDs of a data frame of them."""
    import lightgbm
    import numpy as np

    from creditrisk_assets.modelling.calibration import Calibrator

    (bundle,) = {path.parent for path in Path(os.environ["BENCH_MODEL"]).glob("artifacts/**/manifest.json")}
    booster = lightgbm.Booster(model_file=str(bundle / "model.txt"))
    calibrator = Calibrator.from_json((bundle / "calibrator.json").read_text())
    features = json.loads((bundle / "encoder.json").read_text())["features"]
    codes = {f["name"]: {name: code for code, name in enumerate(f["categories"])} for f in features if f["categories"]}

    def pds_of(frame: Any) -> list[float]:
        matrix = frame.to_numpy(dtype=np.float32, na_value=np.nan)
        return list(calibrator.pds(booster.predict(matrix, raw_score=True, num_threads=1)).tolist())

    return [feature["name"] for feature in features], codes, pds_of


def usual() -> FastAPI:
    """A parsed body, a data frame, the model as MLflow loads it."""
    import mlflow
    import pandas as pd
    from pydantic import BaseModel

    class Frame(BaseModel):
        columns: list[str]
        data: list[list[Any]]

    class Body(BaseModel):
        dataframe_split: Frame

    model = mlflow.pyfunc.load_model(os.environ["BENCH_MODEL"])
    app = _application()

    def predict(body: Body) -> list[dict[str, Any]]:
        frame = pd.DataFrame(body.dataframe_split.data, columns=body.dataframe_split.columns)
        for column in model.metadata.get_input_schema().inputs:
            frame[column.name] = frame[column.name].astype(column.type.to_pandas())
        return list(model.predict(frame).to_dict(orient="records"))

    predict.__annotations__["body"] = Body
    app.post("/predict")(predict)
    return app


def _application() -> FastAPI:
    app = FastAPI()

    @app.get("/ready")
    async def ready() -> Response:
        return Response()

    return app
