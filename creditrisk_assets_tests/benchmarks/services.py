"""The services the benchmark measures ours beside: the floor, and what is built with FastAPI and pandas.

What belongs here: one application per contender. What does not: starting and asking them (`serving`).
"""

import json
import os
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
    """One data frame, LightGBM's booster on one thread, no validation: as fast as pandas lets a service be."""
    import lightgbm
    import msgspec
    import numpy as np
    import pandas as pd

    from creditrisk_assets.modelling.calibration import Calibrator

    (bundle,) = {path.parent for path in Path(os.environ["BENCH_MODEL"]).glob("artifacts/**/manifest.json")}
    booster = lightgbm.Booster(model_file=str(bundle / "model.txt"))
    calibrator = Calibrator.from_json((bundle / "calibrator.json").read_text())
    features = json.loads((bundle / "encoder.json").read_text())["features"]
    categories = {
        f["name"]: {name: code for code, name in enumerate(f["categories"])} for f in features if f["categories"]
    }
    names = [feature["name"] for feature in features]
    app = _application()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        sent = msgspec.json.decode(await request.body())["dataframe_split"]
        frame = pd.DataFrame(sent["data"], columns=sent["columns"])
        for name, codes in categories.items():
            frame[name] = frame[name].map(codes)
        matrix = frame[names].to_numpy(dtype=np.float32, na_value=np.nan)
        pds = calibrator.pds(booster.predict(matrix, raw_score=True, num_threads=1))
        return Response(msgspec.json.encode({"pds": pds.tolist()}), media_type=JSON)

    return app


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
