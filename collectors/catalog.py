"""The catalogue: the shipped meter models, and over them those of the user's own folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path

from collectors.meter_model import Model
from collectors.model_file import BadModel, parse_model
from collectors.pushed_model import PROTOCOL, PushedModel, parse_pushed_model
from collectors.serial_model import SerialModel
from collectors.serial_model_file import parse_serial_model, protocol_of
from ingest.errors import Misconfigured
from ingest.model import RegisterSpec

AnyModel = Model | SerialModel | PushedModel


def specs(model: Model) -> tuple[RegisterSpec, ...]:
    """What storage has to know of the model's registers, sums included."""
    return (*(register.spec for register in model.registers), *(one.spec for one in model.sums))


class Catalog(Mapping[str, Model]):
    """Modbus models by slug, in `serial` those with protocols of their own, in `pushed` those heard over MQTT only."""

    def __init__(
        self,
        models: Mapping[str, Model],
        serial: Mapping[str, SerialModel] | None = None,
        pushed: Mapping[str, PushedModel] | None = None,
    ) -> None:
        self._models = dict(sorted(models.items()))
        self.serial = dict(sorted((serial or {}).items()))
        self.pushed = dict(sorted((pushed or {}).items()))

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
            raise self._not_asked(slug)
        return self._models[slug]

    def serial_model(self, slug: str) -> SerialModel | None:
        """The model of a protocol of its own, None for a Modbus one; Misconfigured for an unknown slug."""
        if slug not in self.serial and slug not in self._models:
            raise self._not_asked(slug)
        return self.serial.get(slug)

    def specs(self) -> dict[str, tuple[RegisterSpec, ...]]:
        """What storage has to know of every model's registers, whatever it speaks."""
        modbus = {slug: specs(model) for slug, model in self._models.items()}
        serial = {slug: model.specs for slug, model in self.serial.items()}
        pushed = {slug: model.specs for slug, model in self.pushed.items()}
        return dict(sorted({**modbus, **serial, **pushed}.items()))

    def _not_asked(self, slug: str) -> Misconfigured:
        """Why a model cannot be polled."""
        if slug in self.pushed:
            return Misconfigured(
                f"model {slug!r} is heard over MQTT and cannot be asked; give the meter a gateway, not a line"
            )
        known = sorted((*self._models, *self.serial, *self.pushed))
        near = " or ".join(map(repr, get_close_matches(slug, known, 2)))
        hint = f"did you mean {near}? `amr catalog list` names all" if near else f"known are {', '.join(known)}"
        return Misconfigured(
            f"model {slug!r} is not in the catalogue; {hint}; "
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
        {slug: model for slug, model in models.items() if isinstance(model, PushedModel)},
    )


@cache
def _shipped() -> dict[str, AnyModel]:
    with_names = sorted(entry.name for entry in files("collectors.meters").iterdir() if entry.name.endswith(".toml"))
    return _read({name: files("collectors.meters").joinpath(name).read_bytes() for name in with_names})


def _folder(folder: Path) -> dict[str, AnyModel]:
    if not folder.is_dir():
        raise Misconfigured(f"AMR_CATALOG {str(folder)!r} is not a folder; name the one your model files are in")
    return _read({str(path): path.read_bytes() for path in sorted(folder.glob("*.toml"))})


def model_files(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and of folders every model file in them. Misconfigured for what is not there."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise Misconfigured(f"{path} is not there; give the path of a model file, <maker-model>.toml, or a folder")
        inside = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not inside:
            raise Misconfigured(f"in {path} there is no model file; name yours <maker-model>.toml")
        found += inside
    return found


def _read(texts: Mapping[str, bytes]) -> dict[str, AnyModel]:
    models: dict[str, AnyModel] = {}
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


def read_model(name: str, content: bytes) -> AnyModel:
    """The model of one file, whatever it speaks. Raises BadModel with all that is wrong."""
    protocol = protocol_of(content)
    if protocol == PROTOCOL:
        return parse_pushed_model(name, content)
    return parse_model(name, content) if protocol == "modbus" else parse_serial_model(name, content)
