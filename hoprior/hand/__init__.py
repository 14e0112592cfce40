"""Hand models behind one interface, joint orders, and inverse kinematics."""

from os import PathLike
from typing import Literal

from hoprior.errors import HopriorError
from hoprior.hand.base import HandModel, Side
from hoprior.hand.ik import IKResult, fit_joints
from hoprior.hand.joint_order import JOINT_NAMES, reorder_joints
from hoprior.hand.open_hand import OpenHand
from hoprior.hand.pose import HandOutput, HandPose

__all__ = [
    "JOINT_NAMES",
    "HandModel",
    "HandOutput",
    "HandPose",
    "IKResult",
    "OpenHand",
    "Side",
    "fit_joints",
    "load_hand",
    "reorder_joints",
]


def load_hand(
    name: Literal["open", "mano"] | str = "open",
    side: Side | str = "right",
    mano_dir: str | PathLike[str] | None = None,
) -> HandModel:
    """A hand model by name.

    Args:
        name: "open", embedded, or "mano", from the user's own MANO_RIGHT.pkl / MANO_LEFT.pkl; where there is only one
            of the two, the other hand is its mirror image (`origin()` says which was taken).
        side: "right" or "left".
        mano_dir: folder of the MANO files, or one of them; without it the environment's HOPRIOR_MANO_DIR.

    Raises:
        HopriorError: an unknown name or side, or MANO's file is missing or unreadable.

    Example:
        >>> hand = load_hand("open", side="left")
        >>> hand.side, hand.v_template.shape[1], hand.joints_template.shape
        ('left', 3, torch.Size([16, 3]))
    """
    if side not in ("right", "left"):
        raise HopriorError(f"side '{side}' of a hand is unknown: use 'right' or 'left'")
    if name == "open":
        return OpenHand(side)
    if name == "mano":
        from hoprior.hand.mano import load_mano

        return load_mano(side, mano_dir)
    raise HopriorError(f"hand model '{name}' is unknown: use 'open' or 'mano'")
