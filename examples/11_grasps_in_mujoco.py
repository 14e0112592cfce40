"""Grasps in MuJoCo: the open hand as an articulated hand, the object, and a key frame for each grasp (extra `sim`).

python examples/11_grasps_in_mujoco.py [out]     out: a folder that `hoprior run grasp` wrote; without, one is searched
"""

import sys
from importlib.resources import files

import mujoco

import hoprior
from hoprior.results.grasps import GraspResults
from hoprior.results.simulators import export_grasps
from hoprior.tasks.grasp import GraspConfig

if len(sys.argv) > 1:
    results = GraspResults.load(sys.argv[1])
else:
    mug = str(files("hoprior") / "assets" / "meshes" / "mug.obj")
    results = hoprior.grasp(mug, num=1, config=GraspConfig(pool=256))

folder = export_grasps(results, "out/mujoco", "mjcf")
model = mujoco.MjModel.from_xml_path(str(folder / "scene.xml"))
data = mujoco.MjData(model)
mujoco.mj_resetDataKeyframe(model, data, 0)  # grasp_000
for _ in range(int(0.2 / model.opt.timestep)):
    mujoco.mj_step(model, data)
print(f"{model.nbody} bodies, {model.nu} motors; after 0.2 s {data.ncon} contacts between hand, object and ground")
