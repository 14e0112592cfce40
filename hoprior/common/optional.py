"""Packages that hoprior can do without: which extra brings each, and what it is for."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


@dataclass(frozen=True)
class Optional:
    """One of them.

    package: as it is installed.
    module: as it is imported.
    extra: of `pip install 'hoprior[EXTRA]'`.
    use: what it is for.
    """

    package: str
    module: str
    extra: str
    use: str

    @property
    def version(self) -> str | None:
        """The installed one's, or None."""
        if find_spec(self.module) is None:
            return None
        try:
            return version(self.package)
        except PackageNotFoundError:
            return "unknown"


OPTIONAL = (
    Optional("mujoco", "mujoco", "sim", "whether a grasp holds, gravity from six sides"),
    Optional("coacd", "coacd", "sim", "convex parts of objects, for simulation"),
    Optional("pybullet", "pybullet", "bullet", "the literature's displacement in simulation"),
    Optional("smplx", "smplx", "mano", "your own MANO files (--hand mano)"),
    Optional("imageio-ffmpeg", "imageio_ffmpeg", "video", "videos in and out"),
    Optional("DracoPy", "DracoPy", "formats", "packed glTF"),
    Optional("cascadio", "cascadio", "formats", "STEP files"),
    Optional("meshoptimizer", "meshoptimizer", "meshopt", "packed glTF of another kind"),
    Optional("open_clip_torch", "open_clip", "clip", "CLIP's text features, for priors trained with them"),
    Optional("mesh-to-sdf", "mesh_to_sdf", "mesh-to-sdf", "another engine for signed distances"),
    Optional("easypytorch3d", "pytorch3d", "pytorch3d", "another soft renderer for reconstruction"),
    Optional("transformers", "transformers", "vlm", "local models that describe photos; SAM 2 (--segment)"),
    Optional("torchvision", "torchvision", "vlm", "the same"),
    Optional("webdataset", "webdataset", "stream", "shards that fit streams"),
    Optional("ray", "ray", "cluster", "data prepared on many machines"),
    Optional("wandb", "wandb", "wandb", "curves of a training on Weights and Biases"),
    Optional("tensorboard", "tensorboard", "tensorboard", "curves of a training in TensorBoard"),
)
