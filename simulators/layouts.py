"""Register layouts of the simulated meter models, by model slug; a file for each maker. Pure.

Written from the manufacturers' register tables on their own, apart from any decoder, so that a decoder cannot agree
with its own mistake.
"""

from simulators.layout import Layout
from simulators.layout_abb import b23, janitza
from simulators.layout_eastron import sdm120, sdm630
from simulators.layout_gavazzi import em24, em330
from simulators.layout_schneider import iem3000, pm5110
from simulators.layout_wirenboard import map3e

LAYOUTS: dict[str, Layout] = {
    layout.model: layout
    for layout in (
        sdm120(),
        sdm630(),
        b23("abb-b23"),
        b23("abb-b24"),
        iem3000("schneider-iem3155"),
        iem3000("schneider-iem3255"),
        pm5110(),
        em24(),
        em330("carlo-gavazzi-em330"),
        em330("carlo-gavazzi-em340"),
        janitza(),
        map3e(),
    )
}


def layout_of(model: str) -> Layout:
    """The layout of a model slug."""
    try:
        return LAYOUTS[model]
    except KeyError:
        raise ValueError(f"unknown meter model {model!r}; known are: {', '.join(sorted(LAYOUTS))}") from None
