"""The catalogue: the shipped meter models, and over them those of the user's own folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from collectors.meter_model import Model
from collectors.model_file import BadModel, parse_model
from collectors.serial_model import SerialModel
from collectors.serial_model_file import parse_serial_model, protocol_of
from ingest.errors import Misconfigured
from ingest.model import RegisterSpec


def specs(model: Model) -> tuple[RegisterSpec, ...]:
    """What storage has to know of the model's registers, sums included."""
    return (*(register.spec for register in model.registers), *(one.spec for one in model.sums))


class Catalog(Mapping[str, Model]):
    """Modbus models by slug, and in `serial` those with protocols of their own."""

    def __init__(self, models: Mapping[str, Model], serial: Mapping[str, SerialModel] | None = None) -> None:
        self._models = dict(sorted(models.items()))
        self.serial = dict(sorted((serial or {}).items()))

    def __getitem__(self, slug: str) -> Model:
        return self._models[slug]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def model(self, slug: str) -> Model:
        """The Modbus model, or Misconfigured with the slugs there are."""
        if slug in self.serial:
            tongue = self.serial[slug].tongue.value
            raise Misconfigured(f"model {slug!r} speaks {tongue}, not Modbus; its line must be a serial one")
        if slug not in self._models:
            raise self._unknown(slug)
        return self._models[slug]

    def serial_model(self, slug: str) -> SerialModel | None:
        """The model of a protocol of its own, None for a Modbus one; Misconfigured for an unknown slug."""
        if slug not in self.serial and slug not in self._models:
            raise self._unknown(slug)
        return self.serial.get(slug)

    def specs(self) -> dict[str, tuple[RegisterSpec, ...]]:
        """What storage has to know of every model's registers, whatever it speaks."""
        modbus = {slug: specs(model) for slug, model in self._models.items()}
        return dict(sorted({**modbus, **{slug: model.specs for slug, model in self.serial.items()}}.items()))

    def _unknown(self, slug: str) -> Misconfigured:
        known = ", ".join(sorted((*self._models, *self.serial)))
        return Misconfigured(
            f"model {slug!r} is not in the catalogue; known are {known}; "
            "a model of your own goes as <slug>.toml into the folder AMR_CATALOG names"
        )


def load_catalog(own: Path | None = None) -> Catalog:
    """The shipped models and, over them, those of the user's own folder.

    Raises Misconfigured with every mistake of every file of that folder. A file of the same slug replaces ours.
    """
    models = {**_shipped(), **({} if own is None else _folder(own))}
    return Catalog(
        {slug: model for slug, model in models.items() if isinstance(model, Model)},
        {slug: model for slug, model in models.items() if isinstance(model, SerialModel)},
    )


@cache
def _shipped() -> dict[str, Model | SerialModel]:
    with_names = sorted(entry.name for entry in files("collectors.meters").iterdir() if entry.name.endswith(".toml"))
    return _read({name: files("collectors.meters").joinpath(name).read_bytes() for name in with_names})


def _folder(folder: Path) -> dict[str, Model | SerialModel]:
    if not folder.is_dir():
        raise Misconfigured(f"AMR_CATALOG {str(folder)!r} is not a folder; name the one your model files are in")
    return _read({str(path): path.read_bytes() for path in sorted(folder.glob("*.toml"))})


def _read(texts: Mapping[str, bytes]) -> dict[str, Model | SerialModel]:
    models: dict[str, Model | SerialModel] = {}
    mistakes: list[str] = []
    for name, text in texts.items():
        try:
            model = read_model(name, text)
            models[model.slug] = model
        except BadModel as bad:
            mistakes += [str(mistake) for mistake in bad.mistakes]
    if mistakes:
        raise Misconfigured("\n".join(mistakes))
    return models


def read_model(name: str, content: bytes) -> Model | SerialModel:
    """The model of one file, whatever it speaks. Raises BadModel with all that is wrong."""
    return parse_model(name, content) if protocol_of(content) == "modbus" else parse_serial_model(name, content)
