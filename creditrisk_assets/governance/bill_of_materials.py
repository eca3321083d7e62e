"""The bill of materials: every distribution the model was made with, and the model itself, as CycloneDX 1.6.

What belongs here: reading what is installed, writing it as CycloneDX. What does not: whether a distribution has a known hole (an auditing
tool reads this file for that).
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from typing import Any
from uuid import NAMESPACE_URL, uuid5

NAME = "creditrisk"


@dataclass(frozen=True, order=True)
class Installed:
    """One installed distribution."""

    name: str
    version: str
    licence: str | None
    needs: tuple[str, ...]


def installed(found: Iterable[Distribution] | None = None) -> tuple[Installed, ...]:
    """Read what is installed, by name; of one that is there twice, the first on the path."""
    known: dict[str, Installed] = {}
    for one in distributions() if found is None else found:
        name = _normal(one.metadata["Name"] or "")
        if name and name not in known:
            known[name] = Installed(name, one.version, _licence(one), tuple(sorted(set(_needs(one)))))
    return tuple(sorted(known.values()))


def render_bill(parts: Iterable[Installed], *, model_version: str, model_sha256: str) -> str:
    """Write the bill of materials; the same parts give the same bytes.

    Parameters
    ----------
    parts
        As `installed` reads them.
    model_version, model_sha256
        Of the bundle that is served.
    """
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415 - slow to import
    from cyclonedx.model.bom import Bom  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.output import make_outputter  # noqa: PLC0415
    from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    parts = tuple(parts)
    components = {
        part.name: Component(
            type=ComponentType.APPLICATION if part.name == NAME else ComponentType.LIBRARY,
            name=part.name,
            version=part.version,
            purl=PackageURL("pypi", name=part.name, version=part.version),
            bom_ref=f"{part.name}@{part.version}",
            licenses=_licences(part.licence),
        )
        for part in parts
    }
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL, name="credit-risk-pd", version=model_version, bom_ref=f"model@{model_version}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=model_sha256)],
    )  # fmt: skip
    bom = Bom(components=[component for name, component in components.items() if name != NAME])
    bom.components.add(model)
    bom.metadata.component = components.get(NAME) or Component(type=ComponentType.APPLICATION, name=NAME, bom_ref=NAME)
    for part in parts:
        bom.register_dependency(components[part.name], [components[name] for name in part.needs if name in components])
    bom.register_dependency(bom.metadata.component, [*(c for n, c in components.items() if n != NAME), model])
    bom.register_dependency(model, [components[name] for name in ("lightgbm",) if name in components])
    text = ", ".join(f"{part.name}=={part.version}" for part in parts)
    bom.serial_number = uuid5(NAMESPACE_URL, f"{model_version} {text}")
    content: dict[str, Any] = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    content["metadata"].pop("timestamp", None)  # when it was written is no part of what it lists
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)


def _licences(text: str | None) -> list[Any]:
    from cyclonedx.contrib.license.factories import LicenseFactory  # noqa: PLC0415

    return [LicenseFactory().make_from_string(text)] if text else []


def _licence(one: Distribution) -> str | None:
    """Return the licence in few words; a whole text is none."""
    told = [*one.metadata.get_all("License-Expression", []), *one.metadata.get_all("License", [])]
    text = told[0] if told else ""
    if not text or len(text) > 80 or "\n" in text:
        classes = [
            line.rpartition(" :: ")[2] for line in one.metadata.get_all("Classifier", []) if line.startswith("License")
        ]
        text = classes[0] if classes else ""
    return text.strip() or None


def _needs(one: Distribution) -> Iterator[str]:
    for line in one.requires or ():
        if "extra ==" not in line and (found := re.match(r"[A-Za-z0-9._-]+", line)):
            yield _normal(found.group())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
