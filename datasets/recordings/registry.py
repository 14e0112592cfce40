"""The datasets that hoprior reads, by name."""

from os import PathLike
from pathlib import Path

from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.arctic import ARCTIC
from hoprior.datasets.recordings.contactpose import ContactPose
from hoprior.datasets.recordings.dexycb import DexYCB
from hoprior.datasets.recordings.files import is_root
from hoprior.datasets.recordings.folder import Folder
from hoprior.datasets.recordings.grab import GRAB
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.ho3d import HO3Dv2, HO3Dv3
from hoprior.datasets.recordings.hocap import HOCap
from hoprior.datasets.recordings.hograspnet import HOGraspNet
from hoprior.datasets.recordings.hoi4d import HOI4D
from hoprior.datasets.recordings.hot3d import HOT3D
from hoprior.datasets.recordings.hug import HUG
from hoprior.datasets.recordings.hug_bench import HUGBench
from hoprior.datasets.recordings.mow import MOW
from hoprior.datasets.recordings.myodm import MyoDMRecordings
from hoprior.datasets.recordings.oakink_image import OakInkImage
from hoprior.datasets.recordings.oakink_shape import OakInkShape
from hoprior.datasets.recordings.obman import ObMan
from hoprior.datasets.recordings.synthetic import SyntheticRecordings
from hoprior.datasets.recordings.taco import TACO
from hoprior.datasets.recordings.ycb_affordance import YCBAffordance
from hoprior.errors import HopriorError

ADAPTERS: dict[str, type[Adapter]] = {
    adapter.name: adapter
    for adapter in (
        HOGraspNet,
        HOI4D,
        HO3Dv2,
        HO3Dv3,
        DexYCB,
        OakInkImage,
        OakInkShape,
        GRAB,
        ContactPose,
        TACO,
        HOCap,
        HUG,
        HUGBench,
        ARCTIC,
        HOT3D,
        ObMan,
        YCBAffordance,
        MOW,
        MyoDMRecordings,
        Folder,
        SyntheticRecordings,
    )
}


def open_dataset(
    name: str, root: str | PathLike[str], mano_dir: str | PathLike[str] | None = None, protocol: str | None = None
) -> Adapter:
    """A user's copy of a dataset.

    Args:
        name: one of `ADAPTERS`.
        root: the folder that it was unpacked into.
        mano_dir: folder of the user's MANO files; without it the environment's HOPRIOR_MANO_DIR.
        protocol: which of the dataset's official splits.

    Raises:
        HopriorError: an unknown name or protocol, or a folder that does not hold the dataset.
    """
    if name not in ADAPTERS:
        raise HopriorError(f"no dataset '{name}': there are {', '.join(sorted(ADAPTERS))}")
    try:
        return ADAPTERS[name](root, Hands(mano_dir), protocol)
    except HopriorError as error:
        place = Path(root)
        # Any folder with a pickle in it could be 1M-HUGs.
        other = next(
            (a for a in ADAPTERS.values() if a.name not in (name, HUG.name) and is_root(place, a.markers)), None
        )
        if other is None or is_root(place, ADAPTERS[name].markers):
            raise
        raise HopriorError(f"{error}; it looks like {other.title}, which is called '{other.name}'") from error
