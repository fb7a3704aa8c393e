"""Every law by the name that the command line gives it."""

from archbench.analysis.laws.base import Law
from archbench.analysis.laws.chinchilla import Chinchilla, OuterExponent, SharedExponent
from archbench.analysis.laws.kaplan import CriticalBatch, KaplanSizeData, KaplanSizeSteps
from archbench.analysis.laws.single import ComputeLaw, DataLaw, SizeLaw
from archbench.analysis.laws.transfer import DataTransferred, UnifiedTransfer
from archbench.errors import SpecError, nearest

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        ComputeLaw(),
        SizeLaw(),
        DataLaw(),
        Chinchilla(),
        SharedExponent(),
        OuterExponent(),
        KaplanSizeData(),
        KaplanSizeSteps(),
        CriticalBatch(),
        DataTransferred(),
        UnifiedTransfer(),
    )
}


def law_named(name: str) -> Law:
    """The law called `name`. Raises SpecError with the nearest name where there is none."""
    if name not in LAWS:
        raise SpecError(f"--law: no law is called {name!r}{nearest(name, LAWS)}")
    return LAWS[name]
