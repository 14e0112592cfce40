"""Hands that are right where the camera cannot see: `hoprior.refine(...)` and `hoprior run refine`.

After the affordance-guided diffusion prior (Suzuki et al., Sec. 2.2): which joints are occluded is found by rays and
masks (`hoprior.hand.occlusion`), and only they are refined, told in words what the hand does
(`sampling.py`).
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from hoprior.common.compute import torch_device
from hoprior.common.console import Progress
from hoprior.errors import HopriorError
from hoprior.geometry.camera import mirrored_camera
from hoprior.hand import HandModel, HandPose
from hoprior.hand.occlusion import hidden_by_hand
from hoprior.hand.pose import mirror_points
from hoprior.hand.shape import Betas, HandShape, resized_in_view
from hoprior.priors.protocols import AnyPrior, DenoisesHandPoses
from hoprior.results.folder import package_versions
from hoprior.results.refinements import RefinedHand, RefinedHands
from hoprior.tasks.refine.judging import HeldObject, Judging
from hoprior.tasks.refine.observations import HandViews, Picture
from hoprior.tasks.refine.sampling import RefineConfig, RefinedPoses, refine_poses
from hoprior.tasks.refine.words import told
from hoprior.tasks.shared import (
    NamedPrior,
    Priors,
    check_side,
    check_told,
    load_priors,
    priors_as_config,
    renamed,
    right_hand,
)
from hoprior.vision.estimates import HandEstimate, Skipped, read_estimates
from hoprior.vision.estimates.files import Boxes
from hoprior.vision.masks import Segmenter, load_segmenter

MM_PER_M = 1000.0
DEFAULT_PRIORS: Priors = ((1.0, "pose"),)


def refine(
    source: str | Path | HandEstimate | Sequence[HandEstimate],
    text: str | Sequence[str] | None = None,
    *,
    priors: Priors = DEFAULT_PRIORS,
    hand: str | HandModel = "open",
    side: str = "auto",
    hand_length: str | float | None = None,
    betas: Betas | None = None,
    seed: int = 0,
    device: str = "auto",
    config: RefineConfig | None = None,
    progress: Progress | None = None,
    image: str | Path | None = None,
    mask: str | Path | None = None,
    focal: float | None = None,
    hand_box: str | Boxes = (),
    keep: str | Path | None = None,
    segment: str | Segmenter | None = None,
    held: HeldObject | Sequence[HeldObject | None] | None = None,
    prior: str | AnyPrior | None = None,
    object_mask: str | Path | None = None,
) -> RefinedHands:
    """Hands of photos or of other estimators, with their occluded joints refined.

    Args:
        source: a photo, a file of parameters or keypoints, a folder of them (`read_estimates`), or estimates.
        text: what the hand does, "a hand drinking from a mug"; one for all hands or one for each. Without it, what the
            files say, or nothing.
        priors: weights and priors, of which one draws the hidden joints (`DenoisesHandPoses`); the others, which judge
            hands at objects, say which of the draws fit what is `held` (`JudgeConfig`).
        hand: "open" or "mano", or a hand's model.
        side: "right" or "left" overrules what is found.
        hand_length: whose hand it is: from the wrist to the middle finger's tip, "16.5cm" or metres; it is put where a
            hand of this size looks as the one that was found. As it was found without.
        betas: or its shape in the hand model's own coefficients, up to ten, "1,-0.5" or numbers.
        seed: the same seed gives the same hands.
        device: where the priors compute: "auto", "cpu", "cuda" ...
        config: how poses are refined.
        progress: told the stage and the share of the work that is done.
        image: the photo of a file that is none.
        mask: of the hand in the photo: what lies outside is hidden by an object.
        focal: of photos, pixels; without it the one in the photo's EXIF data, else a guess.
        hand_box: where the hands are in the photo: left,top,right,bottom in pixels; of a folder a .json file of boxes
            by the photos' names (`hoprior.vision.boxes.read_boxes`).
        keep: a folder where hands of a folder of photos are kept as they are found: the same call goes on from there.
        segment: finds masks where there are none: the name of a SAM 2 model on the hub, or a `Segmenter`.
        held: what the hands hold and where it is before the camera, for priors that judge; one for all hands or one for
            each, None for those of which nobody knows.
        prior: former name of `priors`.
        object_mask: of what may be in front of the hand in the photo: nothing hides behind the rest. Without it, what
            is in front of fingers is found by the colours of photos.

    Returns:
        The hands, in their cameras' frames, and what could not be used.

    Raises:
        HopriorError: an argument cannot be used, or no hand at all.

    Example:
        >>> from hoprior.geometry.camera import intrinsics
        >>> from hoprior.vision.estimates.estimate import seen_at
        >>> from hoprior.hand import load_hand
        >>> hand, K = load_hand(), intrinsics((640, 480))
        >>> pose = replace(HandPose.of(torch.zeros(1, 15, 3)), transl=torch.tensor([[0.0, 0.0, 0.5]]))
        >>> seen = (torch.arange(21) != 17).float()  # all joints but the index finger's tip
        >>> estimate = HandEstimate("one", "right", pose, K, (640, 480), seen_at(hand, pose, K), seen)
        >>> refined = refine(estimate, config=RefineConfig(steps=10, samples=2))
        >>> refined[0].occluded.nonzero()[0].tolist(), bool(refined[0].uncertainty_mm[17] > 0)
        ([17], True)
    """
    if prior is not None:
        renamed("prior", "priors")
        priors = ((1.0, prior),)
    check_side(side, "auto")
    check_told(None, seed)
    began = time.perf_counter()
    config, tell = config or RefineConfig(), progress or (lambda stage, share: None)
    chosen = torch_device(device)
    # Right hands are what priors know: left ones are mirrored, with their cameras.
    model = right_hand(hand, side if isinstance(hand, str) else "auto")
    tell("finding hands", 0.0)
    photos = {"image": image, "mask": mask, "object_mask": object_mask, "focal": focal, "hand_box": hand_box}
    estimates, skipped = _estimates(source, hand=model.name, side=side, keep=keep, **photos)
    estimates = _with_texts(estimates, text)
    shape = HandShape(hand_length, betas)
    estimates = [replace(item, pose=resized_in_view(item.pose, model, shape)) for item in estimates]
    found = time.perf_counter()
    tell("loading the prior", 0.2)
    drawing, judges = drawing_and_judges(load_priors(priors, "refine", chosen), held is not None)
    if segment is not None:
        segmenter = load_segmenter(segment, str(chosen)) if isinstance(segment, str) else segment
        estimates = [_segmented(item, segmenter) for item in estimates]
    loaded = time.perf_counter()
    views = views_of(estimates, model)
    texts = [item.text for item in estimates]
    judging = None
    if held is not None and judges:
        sides = [item.side for item in estimates]
        judging = Judging(judges, _each(held, len(estimates)), texts, sides, chosen, config.judge)
    words = told(drawing, model, views, texts, config, chosen)
    estimates = [
        replace(item, notes=(*item.notes, f"{item.name}: {note}")) if note else item
        for item, note in zip(estimates, words.notes, strict=True)
    ]
    refined = refine_poses(
        drawing,
        model,
        views,
        words.cond,
        config,
        seed,
        lambda share: tell("refining", 0.3 + 0.6 * share),
        judging,
    )
    tell("drawing", 0.9)
    hands = tuple(_results(estimates, views, refined, model))
    return RefinedHands(
        hands=hands,
        skipped={item.name: item.reason for item in skipped},
        seed=seed,
        config={
            "task": "refine",
            "source": str(source) if isinstance(source, (str, Path)) else f"{len(estimates)} estimates",
            "text": text,
            "priors": priors_as_config(priors),
            "held": _names(held),
            "hand": model.name,
            "hand_origin": {side: model.origin(side) for side in sorted({item.side for item in estimates})},
            "side": side,
            "segment": segment if isinstance(segment, str) else segment is not None,
            "seed": seed,
            "device": str(chosen),
            "config": asdict(config),
        },
        versions=package_versions(),
        timings={"find": found - began, "load": loaded - found, "refine": time.perf_counter() - loaded},
    )


def drawing_and_judges(priors: Sequence[NamedPrior], held: bool) -> tuple[DenoisesHandPoses, list[NamedPrior]]:
    """The one prior that draws hidden joints, and those that judge hands at what is held.

    Raises:
        HopriorError: there is not one that draws, or there are judges and nothing is held, or the other way round.
    """
    drawing = [one for one in priors if isinstance(one.prior, DenoisesHandPoses)]
    judges = [one for one in priors if not isinstance(one.prior, DenoisesHandPoses)]
    if len(drawing) != 1:
        names = " and ".join(f"'{one.name}'" for one in (drawing or judges)) or "none"
        raise HopriorError(
            f"{len(drawing)} priors draw hidden joints ({names}): give one that says how hands are bent, as pose does,"
            " and, where the object is given, others that judge"
        )
    if judges and not held:
        raise HopriorError(
            f"prior '{judges[0].name}' judges hands at objects: give the object that is held and where it is"
            " (held=HeldObject(mesh, T_camera_object)), or leave the prior out"
        )
    if held and not judges:
        raise HopriorError(
            "an object is held, and no prior judges hands at it: add one that does to the one that draws, as grid, or"
            " leave the object out"
        )
    return drawing[0].prior, judges


def _each(held: HeldObject | Sequence[HeldObject | None], count: int) -> list[HeldObject | None]:
    """What each of `count` hands holds."""
    each: list[HeldObject | None] = [held] * count if isinstance(held, HeldObject) else list(held)
    if len(each) != count:
        raise HopriorError(f"{len(each)} objects held by {count} hands: give one for all, or one for each")
    return each


def _names(held: HeldObject | Sequence[HeldObject | None] | None) -> str | list[str | None] | None:
    if held is None or isinstance(held, HeldObject):
        return None if held is None else held.name
    return [None if one is None else one.name for one in held]


def _estimates(
    source: str | Path | HandEstimate | Sequence[HandEstimate], **settings: Any
) -> tuple[list[HandEstimate], list[Skipped]]:
    if isinstance(source, (str, Path)):
        return read_estimates(source, **settings)
    items = [source] if isinstance(source, HandEstimate) else list(source)
    if not items:
        raise HopriorError("there are no hands to refine: give at least one estimate")
    return items, []


def _with_texts(estimates: list[HandEstimate], text: str | Sequence[str] | None) -> list[HandEstimate]:
    if text is None:
        return estimates
    texts = [text] * len(estimates) if isinstance(text, str) else list(text)
    if len(texts) != len(estimates):
        raise HopriorError(f"{len(texts)} texts for {len(estimates)} hands: give one for all, or one for each")
    return [replace(item, text=one) for item, one in zip(estimates, texts, strict=True)]


def views_of(estimates: Sequence[HandEstimate], hand: HandModel) -> HandViews:
    """Estimates as one batch of right hands, left ones mirrored with their cameras; with what their cameras hide."""
    poses, cameras, hidden = [], [], []
    for item in estimates:
        pose, K = (item.pose, item.K) if item.side == "right" else (item.pose.mirrored(), mirrored_camera(item.K))
        poses.append(pose)
        cameras.append(K)
        hidden.append(occluded_joints(item, pose, hand))
    names = ("hand_pose", "betas", "global_orient", "transl")
    return HandViews(
        HandPose(*(torch.cat([getattr(pose, name) for pose in poses]) for name in names)),
        torch.stack(cameras),
        torch.stack([item.keypoints for item in estimates]),
        torch.stack([item.confidence for item in estimates]),
        torch.cat(hidden),
        tuple(picture_of(item) if item.occluded is None else None for item in estimates),
        torch.tensor([item.guess for item in estimates]),
    )


def picture_of(item: HandEstimate) -> Picture:
    """What an estimate's picture tells of where the hand is; the size of one that was never opened is a guess."""
    size = item.size if item.photo is not None else None
    return Picture(size, item.mask, item.objects, item.objects_complete)


def occluded_joints(item: HandEstimate, pose: HandPose, hand: HandModel) -> Bool[Tensor, "1 21"]:
    """What the estimate says is occluded, or else what the hand itself hides and what is outside the mask; and in
    either case the joints that nobody has seen. `pose` is the estimate's as a right hand's."""
    unknown = item.confidence <= 0
    if item.occluded is not None:
        return (item.occluded | unknown)[None]
    output = hand(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    hidden = hidden_by_hand(hand, output.verts, output.joints) | unknown
    return hidden | picture_of(item).unseen(item.keypoints)


def _segmented(item: HandEstimate, segmenter: Segmenter) -> HandEstimate:
    if item.mask is not None or item.photo is None:
        return item
    try:
        return replace(item, mask=segmenter(item.photo, item.keypoints.numpy()))
    except Exception as error:  # other people's code; one hand that it cannot do is no reason to lose the others
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        return replace(item, notes=(*item.notes, f"{item.name}: no mask ({reason})"))


def _results(
    estimates: Sequence[HandEstimate], views: HandViews, refined: RefinedPoses, right: HandModel
) -> list[RefinedHand]:
    """Refined right hands, as hands of the sides that they are of."""
    first = right(views.pose.hand_pose, views.pose.betas, views.pose.global_orient, views.pose.transl)
    pose = refined.pose
    after = right(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    results = []
    for i, item in enumerate(estimates):
        is_left = item.side == "left"
        points = [mirror_points(p[i]) if is_left else p[i] for p in (*after, *first)]
        one, before = (p[i].mirrored() if is_left else p[i] for p in (pose, views.pose))
        results.append(
            RefinedHand(
                name=item.name,
                side=item.side,
                hand=right.name,
                hand_pose=one.hand_pose[0].numpy(),
                first_hand_pose=before.hand_pose[0].numpy(),
                betas=one.betas[0].numpy(),
                global_orient=one.global_orient[0].numpy(),
                transl=one.transl[0].numpy(),
                joints=points[1].numpy(),
                first_joints=points[3].numpy(),
                verts=points[0].numpy(),
                first_verts=points[2].numpy(),
                faces=(right.faces.flip(-1) if is_left else right.faces).numpy(),
                keypoints=item.keypoints.numpy(),
                occluded=views.occluded[i].numpy(),
                uncertainty_mm=MM_PER_M * refined.spread[i].numpy(),
                noise_level=float(refined.noise_level[i]),
                K=item.K.numpy(),
                size=item.size,
                text=item.text,
                source=item.source,
                photo=item.photo,
                notes=item.notes,
                presence=item.presence,
                certainty=item.certainty,
            )
        )
    return results
