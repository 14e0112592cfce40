"""Where compiled kernels run, and where torch does the same: the one place that decides it."""

import os

from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand.open_hand import OpenHand
from hoprior.physics.contact import ContactEnergy
from hoprior.physics.mouths import PluggedSdf
from hoprior.physics.soft_tissue import FleshEnergy

SWITCH = "HOPRIOR_KERNELS"
"""The environment's variable that turns kernels "off"; they are "on" without it."""


def why_torch(energy: ContactEnergy | FleshEnergy) -> str | None:
    """Why hands descend an energy with torch, in a few words; None where compiled kernels do it, several times faster.

    Raises:
        HopriorError: the switch says neither "on" nor "off".

    Example:
        >>> from hoprior.hand import load_hand
        >>> why_torch(ContactEnergy(load_hand(), lambda points: points[..., 2] - 0.1))
        "the object's distances are no grid"
    """
    reasons = {
        "the hand is not the open one": type(energy.hand) is not OpenHand,
        "the object's distances are no grid": type(energy.sdf) is not SdfGrid
        or type(energy.bones_sdf) not in (SdfGrid, PluggedSdf),
        "something is around the object": energy.surroundings is not None,
        "the device is not a CPU": energy.hand.v_template.device.type != "cpu",
    }
    return why_none() or next((reason for reason, holds in reasons.items() if holds), None)


def why_none() -> str | None:
    """Why no kernel runs at all, in a few words; None where they do.

    Raises:
        HopriorError: the switch says neither "on" nor "off".
    """
    switch = os.environ.get(SWITCH, "on")
    if switch not in ("on", "off"):
        raise HopriorError(f"the environment's {SWITCH} is '{switch}': use on or off")
    return f"{SWITCH} is off" if switch == "off" else _no_compiler()


def _no_compiler() -> str | None:
    try:
        import numba  # noqa: F401
    except ImportError as error:  # it is not installed, or it refuses this numpy
        return f"numba cannot be loaded: {error}"
    return None
