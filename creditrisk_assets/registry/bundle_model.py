"""The registered model as MLflow loads it: code that scores through the signed bundle.

What belongs here: the adapter between MLflow's pyfunc and the bundle. What does not: scoring (`modelling.bundle`).
MLflow stores this file as the model ("models from code"), so nothing is pickled; it imports the installed package.
"""

import base64
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from creditrisk_assets.modelling.bundle import Bundle


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow's types are not followed
    """PD, grade and the decision on it for a data frame of features; hard rules are the service's and the batch's."""

    def load_context(self, context: Any) -> None:
        """Load and verify the bundle against the key the registry recorded with it."""
        key = base64.b64decode(context.model_config["public_key"])
        self.bundle = Bundle.load(Path(context.artifacts["bundle"]), key)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows.

        Parameters
        ----------
        context
            MLflow's; not used.
        model_input
            (n, …) the features of the bundle by name.
        params
            None are taken.

        Returns
        -------
        DataFrame
            `pd`, `decision`, `band` for each row, on the same index.
        """
        columns = {name: model_input[name].to_numpy() for name in self.bundle.feature_names}
        pds = self.bundle.score(self.bundle.encode(columns))
        decisions = [self.bundle.policy.decide(float(pd_)) for pd_ in pds]
        answer = {"pd": pds, "decision": [d.decision for d in decisions], "band": [d.band for d in decisions]}
        return pd.DataFrame(answer, index=model_input.index)


mlflow.models.set_model(BundleModel())
