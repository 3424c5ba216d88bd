"""The catalogue: the shipped meter models, and over them those of the user's own folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from collectors.meter_model import Model
from collectors.model_file import BadModel, parse_model
from ingest.errors import Misconfigured
from ingest.model import RegisterSpec


def specs(model: Model) -> tuple[RegisterSpec, ...]:
    """What storage has to know of the model's registers, sums included."""
    return (*(register.spec for register in model.registers), *(one.spec for one in model.sums))


class Catalog(Mapping[str, Model]):
    """Models by slug. Asking for an unknown one by `model()` names the near ones."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(sorted(models.items()))

    def __getitem__(self, slug: str) -> Model:
        return self._models[slug]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def model(self, slug: str) -> Model:
        """The model, or Misconfigured with the slugs there are."""
        try:
            return self._models[slug]
        except KeyError as missing:
            known = ", ".join(self._models)
            raise Misconfigured(
                f"model {slug!r} is not in the catalogue; known are {known}; "
                "a model of your own goes as <slug>.toml into the folder AMR_CATALOG names"
            ) from missing


def load_catalog(own: Path | None = None) -> Catalog:
    """The shipped models and, over them, those of the user's own folder.

    Raises Misconfigured with every mistake of every file of that folder. A file of the same slug replaces ours.
    """
    return Catalog({**_shipped(), **({} if own is None else _folder(own))})


@cache
def _shipped() -> dict[str, Model]:
    with_names = sorted(entry.name for entry in files("collectors.meters").iterdir() if entry.name.endswith(".toml"))
    return _read({name: files("collectors.meters").joinpath(name).read_bytes() for name in with_names})


def _folder(folder: Path) -> dict[str, Model]:
    if not folder.is_dir():
        raise Misconfigured(f"AMR_CATALOG {str(folder)!r} is not a folder; name the one your model files are in")
    return _read({str(path): path.read_bytes() for path in sorted(folder.glob("*.toml"))})


def _read(texts: Mapping[str, bytes]) -> dict[str, Model]:
    models: dict[str, Model] = {}
    mistakes: list[str] = []
    for name, text in texts.items():
        try:
            model = parse_model(name, text)
            models[model.slug] = model
        except BadModel as bad:
            mistakes += [str(mistake) for mistake in bad.mistakes]
    if mistakes:
        raise Misconfigured("\n".join(mistakes))
    return models
