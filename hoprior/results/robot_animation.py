"""A robot's hand that carries a grasp out, as an animated GLB: a node for each link, at the link that carries it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from hoprior.physics.robots.way import RobotWay
from hoprior.rendering import OBJECT_GREY
from hoprior.results.animation import UNSIGNED_INT, GlbFile, Track, animation_of, material, near_quaternions


def links_of(
    verts: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    link_of_vertex: Int[np.ndarray, " v"],
    T: Float[np.ndarray, "l 4 4"],
) -> dict[int, trimesh.Trimesh]:
    """What each link looks like in its own frame, of a surface of all of them; links that show nothing are left out.

    Args:
        T: maps each link's frame to that of `verts`.
    """
    found = {}
    for link in np.unique(link_of_vertex).tolist():
        own = link_of_vertex == link
        number = np.cumsum(own) - 1
        local = (verts[own] - T[link, :3, 3]) @ T[link, :3, :3]
        found[link] = trimesh.Trimesh(local, number[faces[own[faces].all(axis=1)]], process=False)
    return found


def animated_links(
    names: Sequence[str],
    parents: Sequence[int],
    links: Mapping[int, trimesh.Trimesh],
    way: RobotWay,
    item: trimesh.Trimesh,
    colour: tuple[float, ...],
) -> bytes:
    """One grasp carried out, in metres and in the axes of the object's file: nodes of links, and `object`.

    Args:
        names, parents: of all links; a parent comes before its children, and the base has -1.
        links: what they look like, m, each in its own frame.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> T, still = np.eye(4)[None].repeat(2, axis=0), np.zeros((2, 3))
        >>> way = RobotWay(np.arange(2.0), ("lift", "lift"), T, T[:, None], still, still, still[0], 0.0, True)
        >>> animated_links(["palm"], [-1], {0: box}, way, box, (0.5, 0.5, 0.5))[:4]
        b'glTF'
    """
    file = GlbFile()
    nodes: list[dict[str, Any]] = [{"name": name} for name in names]
    meshes: list[dict[str, Any]] = []
    tracks: list[Track] = []

    def show(node: dict[str, Any], mesh: trimesh.Trimesh, look: int) -> None:
        # glTF shades flat what carries no normals, which is right for machined and for scanned things.
        attributes = {"POSITION": file.add(np.asarray(mesh.vertices), bounds=True)}
        indices = file.add(np.asarray(mesh.faces).reshape(-1), UNSIGNED_INT)
        node["mesh"] = len(meshes)
        primitive = {"attributes": attributes, "indices": indices, "material": look}
        meshes.append({"name": node["name"], "primitives": [primitive]})

    for k, parent in enumerate(parents):
        if parent >= 0:
            nodes[parent].setdefault("children", []).append(k)
            T = np.linalg.inv(way.T_base_link[:, parent]) @ way.T_base_link[:, k]
        else:
            T = way.T_object_base @ way.T_base_link[:, k]
        tracks.append((k, "translation", T[:, :3, 3]))
        tracks.append((k, "rotation", near_quaternions(Rotation.from_matrix(T[:, :3, :3]))))
        if k in links:
            show(nodes[k], links[k], 0)
    nodes.append({"name": "object"})
    show(nodes[-1], item, 1)
    tracks.append((len(nodes) - 1, "translation", way.object_shift))
    roots = [k for k, parent in enumerate(parents) if parent < 0]
    return file.glb(
        {
            "asset": {"version": "2.0", "generator": "hoprior"},
            "scene": 0,
            "scenes": [{"nodes": [*roots, len(nodes) - 1]}],
            "nodes": nodes,
            "materials": [material("hand", colour), material("object", OBJECT_GREY)],
            "meshes": meshes,
            "animations": [animation_of(file, way.time, tracks)],
        }
    )
