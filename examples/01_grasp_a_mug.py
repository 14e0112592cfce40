"""Grasp the shipped mug, look at what comes back, and write it."""

from importlib.resources import files

import hoprior

mug = str(files("hoprior") / "assets" / "meshes" / "mug.obj")
results = hoprior.grasp(mug, text="a mug", num=3, seed=0)
for rank, grasp in enumerate(results):
    wrist, thumb_tip = grasp.joints_object[0], grasp.joints_object[16]
    print(f"{rank}: score {grasp.score:.2f}, wrist at {wrist.round(3)} m, thumb at {thumb_tip.round(3)} m")
results.save("out/mug")
