"""Where modules went: old import paths, and class paths in older weights and configs, still lead to the right place.

An import of an old path gives the module at its new one, with a `DeprecationWarning` that names it.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED_MODULES = {
    "hoprior.affordance": "hoprior.language",
    "hoprior.affordance.chat": "hoprior.language.describe.chat",
    "hoprior.affordance.command": "hoprior.cli.describe",
    "hoprior.affordance.crop": "hoprior.language.describe.crop",
    "hoprior.affordance.endpoint": "hoprior.language.describe.endpoint",
    "hoprior.affordance.local": "hoprior.language.describe.local",
    "hoprior.affordance.schema": "hoprior.language.schema",
    "hoprior.affordance.steps": "hoprior.language.describe.steps",
    "hoprior.affordance.taxonomy": "hoprior.language.taxonomy",
    "hoprior.affordance.template": "hoprior.language.template",
    "hoprior.arguments": "hoprior.cli.arguments",
    "hoprior.camera": "hoprior.geometry.camera",
    "hoprior.compute": "hoprior.common.compute",
    "hoprior.console": "hoprior.common.console",
    "hoprior.contact": "hoprior.physics.contact",
    "hoprior.data_check_cli": "hoprior.cli.data_check",
    "hoprior.data_cli": "hoprior.cli.data_prepare",
    "hoprior.datasets.background": "hoprior.datasets.samples.background",
    "hoprior.datasets.cache": "hoprior.datasets.samples.cache",
    "hoprior.datasets.categories": "hoprior.language.categories",
    "hoprior.datasets.clip": "hoprior.datasets.clips.clip",
    "hoprior.datasets.clip_hands": "hoprior.datasets.clips.hands",
    "hoprior.datasets.clip_scene": "hoprior.datasets.clips.scene",
    "hoprior.datasets.code_digest": "hoprior.datasets.samples.code_digest",
    "hoprior.datasets.clips.hand_track": "hoprior.hand.steadiness",
    "hoprior.datasets.datamodule": "hoprior.datasets.training.datamodule",
    "hoprior.datasets.divided": "hoprior.datasets.training.split_module",
    "hoprior.datasets.free_hands": "hoprior.datasets.training.empty_hands",
    "hoprior.datasets.grids": "hoprior.datasets.samples.grids",
    "hoprior.datasets.hand_track": "hoprior.hand.steadiness",
    "hoprior.datasets.hard_negatives": "hoprior.datasets.training.hard_negatives",
    "hoprior.datasets.hoi4d_clip": "hoprior.datasets.clips.hoi4d",
    "hoprior.datasets.holders": "hoprior.datasets.training.holding_hands",
    "hoprior.datasets.hull_batches": "hoprior.datasets.training.hull_batches",
    "hoprior.datasets.hulls": "hoprior.datasets.training.visual_hulls",
    "hoprior.datasets.jobs": "hoprior.common.jobs",
    "hoprior.datasets.samples.jobs": "hoprior.common.jobs",
    "hoprior.datasets.kept_objects": "hoprior.datasets.training.object_store",
    "hoprior.datasets.kind_postures": "hoprior.datasets.training.grasp_type_postures",
    "hoprior.datasets.mixture": "hoprior.datasets.recordings.mixture",
    "hoprior.datasets.myodm_raw": "hoprior.datasets.myodm.raw",
    "hoprior.datasets.occluded_hands": "hoprior.datasets.benchmarks.occluded_hands",
    "hoprior.datasets.occluded_recordings": "hoprior.datasets.benchmarks.occluded_recordings",
    "hoprior.datasets.part_points": "hoprior.datasets.training.part_points",
    "hoprior.datasets.phrases": "hoprior.language.phrases",
    "hoprior.datasets.placed": "hoprior.datasets.training.labelled_placements",
    "hoprior.datasets.pose_data": "hoprior.datasets.training.pose_data",
    "hoprior.datasets.poses": "hoprior.datasets.training.poses",
    "hoprior.datasets.recorded": "hoprior.datasets.benchmarks.recorded_grids",
    "hoprior.datasets.render_clip": "hoprior.datasets.clips.film",
    "hoprior.datasets.sample": "hoprior.datasets.samples.sample",
    "hoprior.datasets.sayings": "hoprior.language.captions",
    "hoprior.datasets.seeding": "hoprior.datasets.samples.seeding",
    "hoprior.datasets.sentences": "hoprior.language.caption_file",
    "hoprior.datasets.skin": "hoprior.datasets.samples.skin",
    "hoprior.datasets.synthetic.seats": "hoprior.datasets.synthetic.grasp_sites",
    "hoprior.datasets.synthetic.words": "hoprior.language.object_words",
    "hoprior.datasets.text_features": "hoprior.datasets.samples.text_features",
    "hoprior.datasets.video_clip": "hoprior.datasets.clips.video",
    "hoprior.datasets.word_pairs": "hoprior.datasets.training.word_pairs",
    "hoprior.diffusion": "hoprior.priors.diffusion",
    "hoprior.estimates": "hoprior.vision.estimates",
    "hoprior.estimates.contents": "hoprior.vision.estimates.contents",
    "hoprior.estimates.estimate": "hoprior.vision.estimates.estimate",
    "hoprior.estimates.files": "hoprior.vision.estimates.files",
    "hoprior.estimates.photos": "hoprior.vision.estimates.photos",
    "hoprior.evaluate": "hoprior.evaluation.grasps",
    "hoprior.evaluate_prior": "hoprior.evaluation.prior",
    "hoprior.evaluate_reconstruction": "hoprior.evaluation.reconstruction",
    "hoprior.evaluate_refine": "hoprior.evaluation.refinement",
    "hoprior.flesh": "hoprior.physics.soft_tissue",
    "hoprior.geometry.occlusion": "hoprior.hand.occlusion",
    "hoprior.grasp_sets": "hoprior.evaluation.grasp_sets",
    "hoprior.io": "hoprior.common.io",
    "hoprior.masks": "hoprior.vision.masks",
    "hoprior.mine": "hoprior.cli.data_mine",
    "hoprior.models.blocks": "hoprior.models.networks.blocks",
    "hoprior.models.ema": "hoprior.models.training.ema",
    "hoprior.models.fine_tune": "hoprior.models.training.fine_tune",
    "hoprior.models.kinds": "hoprior.models.grasp_type",
    "hoprior.models.optim": "hoprior.models.training.optim",
    "hoprior.models.patches": "hoprior.models.networks.patches",
    "hoprior.models.placement_net": "hoprior.models.networks.placement_encoder",
    "hoprior.models.pose_network": "hoprior.models.networks.pose_denoiser",
    "hoprior.models.shape": "hoprior.models.shape_completion",
    "hoprior.models.unet3d": "hoprior.models.networks.unet3d",
    "hoprior.models.words": "hoprior.models.text_match",
    "hoprior.photo": "hoprior.vision",
    "hoprior.photo.images": "hoprior.vision.images",
    "hoprior.photo.landmarker": "hoprior.vision.landmarker",
    "hoprior.photo.regions": "hoprior.vision.regions",
    "hoprior.pickles": "hoprior.common.pickles",
    "hoprior.placement": "hoprior.hand.placement",
    "hoprior.pose_samples": "hoprior.results.poses",
    "hoprior.pretrained": "hoprior.priors.pretrained",
    "hoprior.prior_quality": "hoprior.evaluation.prior_quality",
    "hoprior.reconstructions": "hoprior.results.reconstructions",
    "hoprior.recorded_cli": "hoprior.cli.data_prepare_recorded",
    "hoprior.refinements": "hoprior.results.refinements",
    "hoprior.registry": "hoprior.priors.registry",
    "hoprior.render_clip_cli": "hoprior.cli.data_render_clip",
    "hoprior.rendering.contact_sheet": "hoprior.rendering.sheet",
    "hoprior.result_folder": "hoprior.results.folder",
    "hoprior.samples": "hoprior.results.interactions",
    "hoprior.simulation": "hoprior.physics.simulation",
    "hoprior.simulation.bullet": "hoprior.physics.simulation.bullet",
    "hoprior.simulation.convex": "hoprior.physics.simulation.convex",
    "hoprior.simulation.extras": "hoprior.physics.simulation.extras",
    "hoprior.simulation.survival": "hoprior.physics.simulation.survival",
    "hoprior.stability": "hoprior.physics.statics",
    "hoprior.state": "hoprior.geometry.state",
    "hoprior.synthesis_cli": "hoprior.cli.data_synthesize",
    "hoprior.tasks.generate_checks": "hoprior.tasks.generate.plausibility",
    "hoprior.tasks.generate_poses": "hoprior.tasks.generate.poses",
    "hoprior.tasks.grasp_config": "hoprior.tasks.grasp.config",
    "hoprior.tasks.grasp_descent": "hoprior.tasks.grasp.descent",
    "hoprior.tasks.grasp_faults": "hoprior.tasks.grasp.faults",
    "hoprior.tasks.grasp_search": "hoprior.tasks.grasp.search",
    "hoprior.tasks.grasp_terms": "hoprior.tasks.grasp.terms",
    "hoprior.tasks.reconstruct_carve": "hoprior.tasks.reconstruct.visual_hull",
    "hoprior.tasks.reconstruct_complete": "hoprior.tasks.reconstruct.cavity",
    "hoprior.tasks.reconstruct_config": "hoprior.tasks.reconstruct.config",
    "hoprior.tasks.reconstruct_fit": "hoprior.tasks.reconstruct.fit",
    "hoprior.tasks.reconstruct_losses": "hoprior.tasks.reconstruct.losses",
    "hoprior.tasks.reconstruct_pictures": "hoprior.tasks.reconstruct.observations",
    "hoprior.tasks.reconstruct_register": "hoprior.tasks.reconstruct.pose_alignment",
    "hoprior.tasks.reconstruct_scene": "hoprior.tasks.reconstruct.scene",
    "hoprior.tasks.refine.evidence": "hoprior.tasks.refine.observations",
    "hoprior.tasks.refine_evidence": "hoprior.tasks.refine.observations",
    "hoprior.tasks.refine_sampling": "hoprior.tasks.refine.sampling",
    "hoprior.text": "hoprior.priors.text_encoders",
    "hoprior.tracking": "hoprior.vision.mask_tracking",
    "hoprior.training": "hoprior.cli.fit",
    "hoprior.video": "hoprior.vision.video",
}
"""Old dotted path -> new one."""

MOVED_CLASSES = {
    "hoprior.datasets.training.datamodule.even_shares": "hoprior.datasets.training.grasp_table.even_shares",
    "hoprior.datasets.training.datamodule.shuffled": "hoprior.datasets.training.held_out.shuffled",
    "hoprior.datasets.training.datamodule.Onwards": "hoprior.datasets.training.epochs.EpochOffsetSampler",
    "hoprior.models.text_match.WordsPrior": "hoprior.models.text_match.TextMatchPrior",
    "hoprior.models.grasp_type.KindsPrior": "hoprior.models.grasp_type.GraspTypePrior",
    "hoprior.models.shape_completion.ShapePrior": "hoprior.models.shape_completion.ShapeCompletionPrior",
}
"""Old name of a class or function, at today's path of the module that it was in -> its path today."""


def current_class_path(class_path: str) -> str:
    """Where a class is found today: ``hoprior.models.words.WordsPrior`` may be written in a file from before a move."""
    module, _, name = class_path.rpartition(".")
    class_path = f"{MOVED_MODULES.get(module, module)}.{name}" if module else class_path
    return MOVED_CLASSES.get(class_path, class_path)


def old_names_of(module: str) -> Callable[[str], object]:
    """A module's ``__getattr__``, by which what was renamed in it is still found under its old name."""

    def find(name: str) -> object:
        new = MOVED_CLASSES.get(f"{module}.{name}")
        if new is None:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        message = f"{module}.{name} is {new} now; the old name goes in the next version"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        home, _, name_there = new.rpartition(".")
        return getattr(importlib.import_module(home), name_there)

    return find


class _Alias(Loader):
    """Gives the module of a new path to whoever imports the old one."""

    def __init__(self, target: str) -> None:
        self.target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.target)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import system has just written the old path's over it


class MovedModules(MetaPathFinder):
    """Finds old import paths of hoprior."""

    def find_spec(
        self, fullname: str, path: Iterable[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MOVED_MODULES:
            return None
        new = MOVED_MODULES[fullname]
        warnings.warn(
            f"{fullname} is {new} now; the old path goes in the next version", DeprecationWarning, stacklevel=2
        )
        return ModuleSpec(fullname, _Alias(new))


def install() -> None:
    """Lets old paths be imported; once is enough, and more does no harm."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        # First of all finders: by an old folder that is another name of a new one, the new one's files would be found
        # a second time.
        sys.meta_path.insert(0, MovedModules())
