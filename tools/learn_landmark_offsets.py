"""Makes hoprior/assets/landmark_offsets.npz: how far a hand model's joints are from the landmark network's landmarks.

usage: python tools/learn_landmark_offsets.py [--num 7000] [--seed 0] [--rows FOLDER] [--out landmark_offsets.npz]

Hands of the open model, bent as the open pose prior draws them or at random within their limits, of any shape, with
a forearm and mostly with something in front of them, are drawn over pictures of scikit-image or plain colours; the
landmark network looks at them from about where they are. How far the joints are from its landmarks is learnt by small
networks that see the landmarks, in the hand's own axes. `--rows` keeps the looks, a file for each 1,000 pictures, and
goes on from them. 7,000 take seven minutes of one core, the networks one.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from skimage import data
from torch import nn

from hoprior.datasets.procedural.source import Procedural
from hoprior.hand import HandModel, load_hand, reorder_joints
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.hand.occlusion import hidden_by_hand
from hoprior.priors.registry import load_prior
from hoprior.rendering.rasterizer import Camera, nearest_face, render_scene
from hoprior.tasks.generate.poses import sample_poses
from hoprior.vision.images import Photo
from hoprior.vision.landmark_offsets import SHARE, Upright
from hoprior.vision.landmarker import hand_landmarker
from hoprior.vision.sightings import FoundHand

PRIOR = Path(__file__).parents[1] / "packages/hoprior-open-priors/weights/pose-open.safetensors"
"""The open one: its draws are no one's motion."""
PIXELS = 224
PIECE = 1000
"""Pictures whose looks are kept together."""
FORWARD = np.array([1.0, -1.0, -1.0])
"""From the camera's axes (x right, y down, z away) to the renderer's."""
MAGENTA = (1.0, 0.0, 1.0)
BACKGROUNDS = ("coffee", "astronaut", "rocket", "chelsea", "gravel", "grass", "brick", "camera", "retina")
SKIN = np.array([0.85, 0.62, 0.5])
FROM_PRIOR, COVERED, PLAIN, BARE = 2 / 3, 0.6, 0.3, 0.15
"""Shares of hands bent by the prior, with something in front, before a plain colour, without a forearm."""
START = 4.0
"""Deviation, pixels, of where the landmark network first looks."""
CALLED = 0.5
"""Presence from which it has seen the hand."""
MEDIAPIPE = tuple(reorder_joints(torch.arange(21.0)[:, None], "mediapipe")[:, 0].long().argsort().tolist())
"""MediaPipe's landmarks among hoprior's joints."""
HELD_OUT, NETWORKS, WIDTH, EPOCHS, BATCH = 0.1, 2, 160, 60, 128
DROPOUT, RATE, DECAY, BLUR = 0.35, 2e-3, 1e-2, 0.05
HIDDEN_WEIGHT = 2.0
"""Of hidden joints beside 1 of others."""


def poses(hand: HandModel, num: int, generator: torch.Generator) -> torch.Tensor:
    """Hands bent as people's are, and at random."""
    drawn = sample_poses(load_prior(PRIOR), None, round(num * FROM_PRIOR), steps=50, generator=generator)
    rest = num - len(drawn)
    share = 0.8 * torch.rand(rest, 15, 3, generator=generator) * torch.rand(rest, 1, 1, generator=generator)
    angles = hand.relaxed_angles + share * (hand.angle_high - hand.relaxed_angles)
    return torch.cat([drawn, hand.angles_to_pose(angles)])[torch.randperm(num, generator=generator)]


def forearm(verts: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A cone that goes on from the wrist."""
    along = joints[0] - joints[JOINT_NAMES.index("middle1")]
    along = along / np.linalg.norm(along)
    wrist = verts[np.argsort((verts - joints[0]) @ -along)[:40]]
    middle = wrist.mean(axis=0)
    wide = np.linalg.svd(wrist - middle, full_matrices=False)[2][0]
    wide = wide - along * (wide @ along)
    wide = wide / np.linalg.norm(wide)
    flat = np.cross(along, wide)
    radii = np.abs((wrist - middle) @ np.stack([wide, flat]).T).max(axis=0)
    count, steps = 24, np.linspace(0, 0.25, 6)
    around = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    ring = radii[0] * np.cos(around) * wide + radii[1] * np.sin(around) * flat
    rings = [middle + along * (step - 0.005) + (1 + 1.2 * step) * ring for step in steps]
    faces = []
    for row in range(len(steps) - 1):
        for k in range(count):
            a, b = row * count + k, row * count + (k + 1) % count
            faces += [[a, b, a + count], [b, b + count, a + count]]
    return np.concatenate(rings), np.array(faces)


class Studio:
    """Pictures of hands whose joints are known."""

    def __init__(self, seed: int) -> None:
        self.rng, self.hand = np.random.default_rng(seed), load_hand()
        things = Procedural(num=60, seed=seed)
        self.things = [things.mesh(info) for info in things.objects()]
        pictures = [np.asarray(getattr(data, name)()) for name in BACKGROUNDS]
        self.pictures = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]

    def background(self) -> np.ndarray:
        """A piece of a picture, or one colour."""
        rng = self.rng
        if rng.random() < PLAIN:
            return np.broadcast_to(rng.uniform(0, 255, 3), (PIXELS, PIXELS, 3))
        whole = self.pictures[rng.integers(len(self.pictures))]
        side = int(rng.uniform(0.3, 1) * min(whole.shape[:2]))
        y, x = (rng.integers(0, length - side + 1) for length in whole.shape[:2])
        return np.asarray(Image.fromarray(whole[y : y + side, x : x + side]).resize((PIXELS, PIXELS)))

    def in_front(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A thing between the camera and some joint."""
        rng = self.rng
        thing = self.things[rng.integers(len(self.things))]
        turn = Rotation.random(rng=rng).as_matrix()
        verts = (np.asarray(thing.vertices) - thing.bounds.mean(axis=0)) @ turn.T
        verts = verts * rng.uniform(0.06, 0.16) / np.linalg.norm(np.ptp(verts, axis=0))
        place = joints[rng.integers(1, 21)] * rng.uniform(0.75, 0.97) + rng.normal(0, 0.01, 3)
        return verts + place, np.asarray(thing.faces)

    def picture(self, verts: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A hand's picture, where its joints are in it (pixels), and which of them are hidden."""
        rng = self.rng
        turn, distance = Rotation.random(rng=rng).as_matrix(), rng.uniform(0.35, 0.8)
        focal = 4.5 * distance
        arm, arm_faces = forearm(verts, joints)
        middle = joints.mean(axis=0)
        verts, arm, joints = ((points - middle) @ turn.T + [0, 0, distance] for points in (verts, arm, joints))
        faces = self.hand.faces.numpy()
        skin = np.clip(SKIN * rng.uniform(0.35, 1.1) * rng.uniform(0.9, 1.1, 3), 0, 1)
        spotted = np.clip(skin * (1 + 0.06 * rng.normal(size=(len(verts), 1))), 0, 1)
        scene: list[Any] = [(verts * FORWARD, faces, spotted)]
        if rng.random() > BARE:
            scene.append((arm * FORWARD, arm_faces, skin))
        uv = PIXELS / 2 * (1 + focal * joints[:, :2] / joints[:, 2:])
        tensors = (torch.from_numpy(points[None]).float() for points in (verts, joints))
        hidden = hidden_by_hand(self.hand, *tensors)[0].numpy()
        if rng.random() < COVERED:
            thing, thing_faces = self.in_front(joints)
            scene.append((thing * FORWARD, thing_faces, rng.uniform(0.05, 0.95, 3)))
            both = np.concatenate([verts, thing]), np.concatenate([faces, thing_faces + len(verts)])
            nearest = nearest_face(both[0] * [1, -1, 1], both[1], focal, PIXELS, PIXELS)
            column, row = (uv - 0.5).round().astype(int).clip(0, PIXELS - 1).T
            hidden = hidden | (nearest[row, column] >= len(faces))
        camera = Camera(np.zeros(3), np.eye(3)[0], np.eye(3)[1], -np.eye(3)[2], 0.0, focal)
        look = {"size": (PIXELS, PIXELS), "camera": camera, "background": MAGENTA, "supersample": 1}
        shown = render_scene(scene, **look).astype(float)
        alone = np.abs(shown - 255 * np.array(MAGENTA)).max(axis=2, keepdims=True) > 8
        whole = gaussian_filter(np.where(alone, shown, self.background()), (0.7, 0.7, 0))
        pixels = np.clip(whole + rng.normal(0, 3, whole.shape), 0, 255).astype(np.uint8)
        return pixels, uv, hidden


def looks(num: int, seed: int) -> dict[str, np.ndarray]:
    """What the landmark network says of so many pictures, beside what is true, in the hands' own axes."""
    studio, generator = Studio(seed), torch.Generator().manual_seed(seed)
    hand, rng, landmarker = studio.hand, studio.rng, hand_landmarker()
    output = hand(poses(hand, num, generator), torch.randn(num, 10, generator=generator))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("points", "off", "hidden", "side")}
    for k in range(num):
        verts, joints = (points[k].double().numpy() for points in output)
        pixels, uv, hidden = studio.picture(verts, joints)
        side = "left" if rng.random() < 0.5 else "right"
        if side == "left":
            pixels, uv = pixels[:, ::-1].copy(), [PIXELS, 0] + [-1, 1] * uv
        begin = uv[list(MEDIAPIPE)] + rng.normal(0, START, (21, 2))
        found = landmarker.follow(Photo(pixels), FoundHand(begin, np.zeros((21, 3)), side, 1.0, 1.0))
        if found is None or found.presence < CALLED or found.side != side:
            continue
        points = reorder_joints(torch.from_numpy(found.points), "mediapipe").numpy()
        axes = Upright.of(points, side)
        rows["points"].append(axes.inside(points))
        rows["off"].append(axes.inside(uv) - axes.inside(points))
        rows["hidden"].append(hidden)
        rows["side"].append(np.ptp(uv, axis=0).max() / axes.size)
    return {name: np.stack(values) for name, values in rows.items()}


def all_looks(num: int, seed: int, folder: Path | None) -> dict[str, np.ndarray]:
    """Looks at so many pictures, in pieces of which each has a seed and, in the folder, a file of its own."""
    pieces = []
    for piece in range(seed, seed + max(num // PIECE, 1)):
        path = None if folder is None else folder / f"{piece}.npz"
        if path is None or not path.exists():
            rows = looks(min(num, PIECE), piece)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, **rows)  # type: ignore[arg-type]
        else:
            with np.load(path) as kept:
                rows = dict(kept)
        pieces.append(rows)
        print(f"{sum(len(rows['side']) for rows in pieces)} looks of {PIECE * len(pieces)} pictures", flush=True)
    return {name: np.concatenate([rows[name] for rows in pieces]) for name in pieces[0]}


def train(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, seed: int) -> nn.Sequential:
    """A network whose weighted error is least."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(x.shape[1], WIDTH), nn.SiLU(), nn.Dropout(DROPOUT),
        nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Dropout(DROPOUT), nn.Linear(WIDTH, 42),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            blurred = x[rows] + BLUR * torch.randn(len(rows), x.shape[1])
            miss = (net(blurred).view(-1, 21, 2) - y[rows]).square().sum(dim=2).add(1e-4).sqrt()
            loss = (miss * weight[rows]).sum() / weight[rows].sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return net.eval()


def main() -> None:
    """Writes the file, and says what it gains on looks held out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="folder to keep the looks in")
    parser.add_argument("--out", type=Path, default=Path("landmark_offsets.npz"))
    options = parser.parse_args()
    rows = all_looks(options.num, options.seed, options.rows)
    known, off, hidden = rows["points"].reshape(-1, 42), rows["off"], rows["hidden"].astype(bool)
    learnt = np.arange(len(known)) >= HELD_OUT * len(known)
    mean, deviation = known[learnt].mean(axis=0), known[learnt].std(axis=0).clip(0.05)
    x, y = (torch.from_numpy(a).float() for a in ((known - mean) / deviation, off))
    weight = torch.from_numpy(np.where(hidden, HIDDEN_WEIGHT, 1.0)).float()
    nets = [train(x[learnt], y[learnt], weight[learnt], seed) for seed in range(NETWORKS)]
    with torch.no_grad():
        guess = torch.stack([net(x) for net in nets]).mean(dim=0).view(-1, 21, 2).numpy()
    for name, share in (("landmarks", 0.0), ("with SHARE of their offsets", SHARE), ("with all of them", 1.0)):
        left = off - share * guess
        error = 100 * np.linalg.norm(left, axis=2) / rows["side"][:, None]
        seen, unseen = (error[~learnt][which[~learnt]].mean() for which in (~hidden, hidden))
        print(f"{name:28} seen {seen:.2f}, hidden {unseen:.2f} % of the hand's longer side")
    linear = [[layer for layer in net if isinstance(layer, nn.Linear)] for net in nets]
    arrays: dict[str, np.ndarray] = {"mean": mean, "deviation": deviation}
    for k in range(len(linear[0])):
        arrays[f"weight{k}"] = np.stack([layers[k].weight.detach().numpy().T for layers in linear])
        arrays[f"bias{k}"] = np.stack([layers[k].bias.detach().numpy() for layers in linear])
    np.savez_compressed(options.out, **{name: value.astype(np.float16) for name, value in arrays.items()})


if __name__ == "__main__":
    main()
