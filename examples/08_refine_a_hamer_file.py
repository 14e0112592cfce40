"""Refines hands that HaMeR or WiLoR found: what is hidden is drawn anew, told what the hand does.

python examples/08_refine_a_hamer_file.py hamer.npz "a hand drinking from a mug"

docs/refine.md has the ten lines that save such a file. Without one, a stand-in is written: a hand that the pose prior
draws, as HaMeR would give it.
"""

import sys
from pathlib import Path

import numpy as np

import hoprior

file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("hamer.npz")
text = sys.argv[2] if len(sys.argv) > 2 else "a hand drinking from a mug"
if not file.exists():
    drawn = hoprior.generate_poses(text, 1, seed=0)[0].joints_hand
    openpose = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]  # HaMeR's order of joints
    to_camera = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])  # fingers up, palm to the camera
    np.savez(
        file,
        keypoints_3d=(drawn[openpose] @ to_camera.T)[None],
        cam_t_full=np.array([[0.0, 0.0, 0.6]]),
        focal_length=600.0,
        img_size=np.array([640, 480]),
        is_right=np.array([1]),
    )

hands = hoprior.refine(file, text)
for hand in hands:
    hidden, unsure = int(hand.occluded.sum()), float(hand.uncertainty_mm.max())
    print(f"{hand.name}: {hand.side}, {hidden} of 21 joints hidden, up to {unsure:.1f} mm unsure")
hands.save("out/refined")
