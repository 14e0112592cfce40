"""Robots' and objects' descriptions (URDF, MJCF): each shape where the format's own compiler has it."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from hoprior.errors import HopriorError
from hoprior.geometry.files.reading import read_mesh_file

MJCF = """<mujoco>
  <compiler angle="{angle}" eulerseq="{order}" meshdir="assets"/>
  <default>
    <geom type="box" size=".01 .02 .03"/>
    <mesh scale=".001 .001 .001"/>
    <default class="rod">
      <geom type="capsule" size=".004 .02"/>
      <default class="bent rod"><geom euler="{euler}"/></default>
    </default>
    <default class="large"><mesh scale=".002 .002 .002"/></default>
  </default>
  <asset><mesh file="wedge.stl"/><mesh name="big" class="large" file="wedge.stl"/></asset>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    <body name="held" pos=".1 .02 0" euler="{euler}">
      <geom name="plain" pos="0 0 .05"/>
      <geom name="along" class="rod" fromto="0 0 0 .03 .04 .05"/>
      <geom name="round" type="cylinder" size=".01" fromto=".1 0 0 .1 0 .08"/>
      <geom name="long box" fromto="0 .1 0 .05 .1 0" size=".01"/>
      <geom name="up" class="rod" zaxis="1 1 0" pos="0 .05 0"/>
      <geom name="down" zaxis="0 0 -2"/>
      <geom name="to the side" zaxis="0 -2 1"/>
      <geom name="frame of axes" xyaxes="0 1 0 0 0 2"/>
      <geom name="turned" axisangle="1 0 1 {turn}" pos="0 0 -.05"/>
      <geom name="egg" type="ellipsoid" size=".01 .02 .03" quat=".5 .5 -.5 .5"/>
      <frame pos="0 .2 0" euler="{euler}">
        <geom name="in a frame"/>
        <body name="inner" childclass="bent rod" pos="0 0 .1"><geom name="of its body's class"/></body>
      </frame>
    </body>
    {meshes}
  </worldbody>
</mujoco>"""


def wedge() -> trimesh.Trimesh:
    mesh = trimesh.creation.box((0.02, 0.03, 0.05))
    verts = np.array(mesh.vertices)
    verts[(verts > 0).all(axis=1)] *= 0.5
    return trimesh.Trimesh(verts + np.array([0.01, 0, 0.02]), mesh.faces, process=False)


def distances(verts: np.ndarray, model: object, data: object, geom: int) -> np.ndarray:
    """Of points to the surface of a simple shape that MuJoCo has, metres (first order for ellipsoids)."""
    local = (verts - data.geom_xpos[geom]) @ data.geom_xmat[geom].reshape(3, 3)  # type: ignore[attr-defined]
    kind, size = model.geom_type[geom], model.geom_size[geom]  # type: ignore[attr-defined]
    if kind == 6:  # box: every vertex of ours is a corner
        return np.abs(np.abs(local) - size).max(axis=1)
    if kind == 4:
        return np.abs(np.linalg.norm(local / size, axis=1) - 1) * size.min()
    radius, half = size[:2]
    if kind == 3:
        local[:, 2] -= np.clip(local[:, 2], -half, half)
        return np.abs(np.linalg.norm(local, axis=1) - radius)
    return np.minimum(
        np.abs(np.linalg.norm(local[:, :2], axis=1) - radius) + np.maximum(np.abs(local[:, 2]) - half, 0),
        np.abs(np.abs(local[:, 2]) - half),
    )


@pytest.mark.parametrize("order", ["xyz", "XYZ", "zyx", "ZxY"])
@pytest.mark.parametrize("angle", ["degree", "radian"])
def test_shapes_of_mjcf_are_where_mujoco_has_them(order: str, angle: str, tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco")
    (tmp_path / "assets").mkdir()
    large = wedge()
    large.apply_scale(1000)
    large.export(tmp_path / "assets" / "wedge.stl")
    turns = {"euler": "30 -40 70", "turn": "35"} if angle == "degree" else {"euler": ".5 -.7 1.2", "turn": ".6"}
    (tmp_path / "held.xml").write_text(MJCF.format(angle=angle, order=order, meshes="", **turns))
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "held.xml"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    parts = read_mesh_file(tmp_path / "held.xml").parts
    assert len(parts) == model.ngeom - 1  # the plane is a floor
    for name, mesh in parts.items():
        assert distances(np.asarray(mesh.vertices), model, data, model.geom(name).id).max() < 1e-5, name


def test_meshes_of_mjcf_have_the_scale_and_place_of_their_classes(tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco")
    (tmp_path / "assets").mkdir()
    large = wedge()
    large.apply_scale(1000)
    large.export(tmp_path / "assets" / "wedge.stl")
    meshes = (
        '<body pos="0 0 .3"><geom name="wedge" type="mesh" mesh="wedge" euler="0 90 0"/></body>'
        '<body pos="0 .1 .3"><geom name="big" type="mesh" mesh="big" fromto="0 0 0 0 0 .1"/></body>'
    )
    text = MJCF.format(angle="degree", order="xyz", euler="0 0 0", turn="0", meshes=meshes)
    text = text.replace(' fromto="0 0 0 0 0 .1"', ' zaxis="0 1 0"')
    (tmp_path / "held.xml").write_text(text)
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "held.xml"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    parts = read_mesh_file(tmp_path / "held.xml").parts
    assert set(parts) == {"wedge", "big"}
    for name, mesh in parts.items():
        geom = model.geom(name).id
        rows = slice(model.mesh_vertadr[model.geom_dataid[geom]], None)
        corners = model.mesh_vert[rows][: model.mesh_vertnum[model.geom_dataid[geom]]]
        placed = corners @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
        assert cKDTree(placed).query(np.asarray(mesh.vertices))[0].max() < 1e-5


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.xml", '<mujoco><include file="b.xml"/></mujoco>', "has <include>, which MuJoCo itself expands"),
        (
            "a.xml",
            '<mujoco><worldbody><replicate count="2"><geom size="1"/></replicate></worldbody></mujoco>',
            "has <replicate>",
        ),
        (
            "a.xml",
            '<mujoco><worldbody><geom type="mesh" mesh="m"/></worldbody></mujoco>',
            "a geom of the mesh 'm', which is not in it",
        ),
        ("a.xml", '<mujoco><worldbody><geom type="plane" size="1 1 1"/></worldbody></mujoco>', "describes no shape"),
        (
            "a.xml",
            '<mujoco><worldbody><geom type="box" size="1 wide"/></worldbody></mujoco>',
            "has '1 wide' where some numbers",
        ),
        (
            "a.urdf",
            '<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:property name="r" value="1"/></robot>',
            "is a xacro template",
        ),
        ("a.urdf", "<robot><link name='a'>", "is no XML"),
        (
            "a.urdf",
            "<robot><link name='a'><visual><geometry><box/></geometry></visual></link></robot>",
            "has a shape without its size",
        ),
        (
            "a.urdf",
            "<robot><link name='a'><visual><geometry><box size='1 1 1'/></geometry></visual></link>"
            "<joint name='j'><parent link='a'/><child link='a'/></joint></robot>",
            "has joints in a circle",
        ),
        ("a.urdf", "<robot><link name='a'/></robot>", "describes no shape that can be held"),
        ("a.xml", "<sdf><uri>model://mug/mug.dae</uri></sdf>", "is an SDF description, which this reader cannot read"),
        ("a.xml", "<room/>", "an XML file with <room>"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(HopriorError) as caught:
        read_mesh_file(tmp_path / name)
    assert words in str(caught.value) and str(caught.value).startswith(f"{name}: ")


def test_an_expanded_xacro_is_a_urdf(tmp_path: Path) -> None:
    shapes = (
        "<visual><geometry><box size='.1 .2 .3'/></geometry></visual>"
        "<visual><origin xyz='0 0 1'/><geometry><cylinder radius='.05' length='.1'/></geometry></visual>"
        "<visual><origin xyz='0 1 0'/><geometry><sphere radius='.05'/></geometry></visual>"
    )
    text = f"<robot xmlns:xacro='http://www.ros.org/wiki/xacro'><link name='a'>{shapes}</link></robot>"
    (tmp_path / "a.urdf").write_text(text)
    parts = read_mesh_file(tmp_path / "a.urdf").parts
    sizes = [mesh.extents for mesh in parts.values()]
    np.testing.assert_allclose(sizes, [[0.1, 0.2, 0.3], [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]], atol=2e-3)
