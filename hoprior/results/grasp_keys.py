"""What the keys of `grasps.json` mean, as the file itself tells."""

from hoprior.results.folder import HAND_FRAME

FRAMES = {
    "joints_object": "21 joints in the frame and the unit of the input mesh, in the order of `joint_names`",
    "T_object_hand": (
        "4x4, maps points of the hand frame to the input mesh's frame; its translation is in the mesh's unit. Hand"
        f" frame: {HAND_FRAME}"
    ),
    "global_orient": "the rotation of T_object_hand as axis times angle, radians",
    "transl": "the translation of T_object_hand: where the wrist is, in the mesh's unit",
    "hand_pose": (
        "axis times angle (radians) of joints 1 to 15 from the flat hand, in the axes of the hand frame, each relative"
        " to its parent"
    ),
    "betas": "shape coefficients of the named hand model",
    "aperture": "distance from the thumb's tip to the index finger's, in the mesh's unit",
    "approach": "unit vector, mesh's axes: from the wrist to the middle of what the hand presses, else of its tips",
    "contacts": (
        "of each bone that touches, what presses most first: point (mesh's unit) and outward normal on the object's"
        " surface, depth and area of the skin that touches (mesh's unit), share of the pressure, object part if known"
    ),
    "npz": (
        "grasps.npz: `hand_contact` (grasp, vertex) and `object_contact` of the vertices of the GLBs, 1 where the"
        " surfaces meet, falling to 0 at a gap of 5 mm; in the GLBs `_contact`, and vertices that touch are red"
    ),
    "reach": (
        "the grasp carried out, if asked for: whether the way is free of collisions, how much deeper than allowed it"
        " goes (mesh's unit), the way in which the hand comes, the pre-grasp; all frames in grasps.npz (`reach_...`:"
        " wrist, fingers, seconds, phase, how far the object is carried); grasp_000_reach.glb is animated, in metres"
    ),
    "smplx": (
        "of MANO's hands: what smplx.MANO takes with flat_hand_mean=True and use_pca=False, in MANO's own frame; transl"
        " in the mesh's unit"
    ),
    "glb": (
        "geometries `hand` and `object` in the frame and the unit of the input mesh; glTF itself has metres and y up:"
        " viewers that rely on this show the input mesh in the same way"
    ),
}
