"""USD with its physics schema, read by Isaac, Blender, Omniverse: a hand, an object, and a variant for each grasp."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from hoprior.physics.articulated.capsules import Capsule
from hoprior.physics.articulated.chain import HingeBody, hinge_bodies
from hoprior.physics.articulated.hand import ArticulatedHand, tip_names
from hoprior.physics.articulated.mjcf import DAMPING, FRICTION, OBJECT_COLOUR, SKIN_COLOUR
from hoprior.physics.articulated.scene import STIFFNESS, TORQUE, Keyframe, Scene, place_links
from hoprior.physics.articulated.tissue import Mass
from hoprior.physics.simulation.extras import require

HAND_FILE, SCENE_FILE = "hand.usda", "scene.usda"
HAND, OBJECT = "/World/Hand", "/World/Object"


def write_hand(hand: ArticulatedHand, folder: Path) -> list[str]:
    """Writes `hand.usda`; returns the names of the files."""
    writer = _Writer(folder / HAND_FILE)
    writer.add_hand(hand)
    writer.save()
    return [HAND_FILE]


def write_scene(scene: Scene, folder: Path) -> list[str]:
    """Writes `scene.usda`; the variant set `grasp` of its `/World` has each grasp, and the hand before it closes."""
    writer = _Writer(folder / SCENE_FILE)
    writer.add_hand(scene.hand)
    writer.add_object(scene)
    writer.let_go(scene.hand)
    variants = writer.world.GetPrim().GetVariantSets().AddVariantSet("grasp")
    for keyframe in scene.keyframes:
        writer.add_variant(variants, scene, keyframe, keyframe.name, keyframe.hinges, keyframe.targets)
        writer.add_variant(variants, scene, keyframe, f"{keyframe.name}_open", keyframe.opened, keyframe.opened)
    variants.SetVariantSelection(f"{scene.keyframes[0].name}_open")
    writer.save()
    return [SCENE_FILE]


class _Writer:
    """A stage while it is written."""

    def __init__(self, path: Path) -> None:
        require("pxr", "usd")
        from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, UsdShade

        self.Gf, self.Sdf, self.UsdGeom, self.UsdPhysics, self.UsdShade = Gf, Sdf, UsdGeom, UsdPhysics, UsdShade
        self.path = path
        self.stage = Usd.Stage.CreateInMemory()
        UsdGeom.SetStageUpAxis(self.stage, UsdGeom.Tokens.z)
        UsdGeom.SetStageMetersPerUnit(self.stage, 1.0)
        UsdPhysics.SetStageKilogramsPerUnit(self.stage, 1.0)
        self.world = UsdGeom.Xform.Define(self.stage, "/World")
        self.stage.SetDefaultPrim(self.world.GetPrim())
        UsdPhysics.Scene.Define(self.stage, "/World/physics")
        material = UsdShade.Material.Define(self.stage, "/World/skin_and_thing")
        friction = UsdPhysics.MaterialAPI.Apply(material.GetPrim())
        friction.CreateStaticFrictionAttr(FRICTION)
        friction.CreateDynamicFrictionAttr(FRICTION)
        self.material = material

    def save(self) -> None:
        """Writes the stage as text."""
        self.stage.GetRootLayer().Export(str(self.path))

    def add_hand(self, hand: ArticulatedHand) -> None:
        """The hand's bodies side by side, at rest, and their joints."""
        root = self.UsdGeom.Xform.Define(self.stage, HAND)
        self.UsdPhysics.ArticulationRootAPI.Apply(root.GetPrim())
        target = self.UsdGeom.Xform.Define(self.stage, f"{HAND}/hand_target")
        self.UsdPhysics.RigidBodyAPI.Apply(target.GetPrim()).CreateKinematicEnabledAttr(True)
        placed = place_links(hand, np.zeros((15, 3)))
        for body in hinge_bodies(hand):
            prim = self._add_body(f"{HAND}/{body.name}", body.mass)
            self._place(prim, np.eye(3), placed.origins[body.carries])
            if body.link is not None:
                self._add_mesh(f"{prim.GetPath()}/skin", body.link.skin, body.link.faces, SKIN_COLOUR)
                for k, capsule in enumerate(body.link.capsules):
                    self._add_capsule(f"{prim.GetPath()}/capsule_{k}", capsule)
            if body.hinge is not None:
                self._add_hinge(body)
        for name, (number, place) in zip(tip_names(), hand.tips, strict=True):
            self._place(
                self.UsdGeom.Xform.Define(self.stage, f"{HAND}/{hand.links[number].name}/{name}"), np.eye(3), place
            )
        weld = self.UsdPhysics.FixedJoint.Define(self.stage, f"{HAND}/joints/hand_target")
        weld.CreateBody0Rel().SetTargets([f"{HAND}/hand_target"])
        weld.CreateBody1Rel().SetTargets([f"{HAND}/wrist"])
        weld.CreateExcludeFromArticulationAttr(True)
        # What a hand is made of does not collide with itself: its capsules overlap at every joint.
        group = self.UsdPhysics.CollisionGroup.Define(self.stage, f"{HAND}/not_with_itself")
        group.CreateFilteredGroupsRel().SetTargets([group.GetPath()])
        group.GetCollidersCollectionAPI().CreateIncludesRel().SetTargets([HAND])

    def let_go(self, hand: ArticulatedHand) -> None:
        """Takes back where the hand's bodies are and where its control goes: a variant's word counts only then."""
        for body in hinge_bodies(hand):
            prim = self._xform(f"{HAND}/{body.name}")
            for op in prim.GetOrderedXformOps():
                op.GetAttr().Clear()
            if body.hinge is not None:
                joint = self.stage.GetPrimAtPath(f"{HAND}/joints/{body.hinge}")
                self.UsdPhysics.DriveAPI(joint, "angular").GetTargetPositionAttr().Clear()

    def add_object(self, scene: Scene) -> None:
        """The object, where it stands, its frame's origin at its centre of mass; and the plane below it."""
        item = scene.item
        prim = self._add_body(OBJECT, item.inertia._replace(center=item.inertia.center - item.parts.center))
        center = scene.T_world_object @ np.append(item.parts.center, 1.0)
        self._place(prim, scene.T_world_object[:3, :3], center[:3])
        verts = np.asarray(item.surface.vertices) - item.parts.center
        self._add_mesh(f"{OBJECT}/surface", verts, item.surface.faces, OBJECT_COLOUR)
        for k, hull in enumerate(item.parts.hulls):
            path = f"{OBJECT}/part_{k:03d}"
            mesh = self._add_mesh(path, hull.vertices - item.parts.center, hull.faces, OBJECT_COLOUR)
            mesh.CreatePurposeAttr(self.UsdGeom.Tokens.guide)
            self._collides(mesh)
            shape = self.UsdPhysics.MeshCollisionAPI.Apply(mesh.GetPrim())
            shape.CreateApproximationAttr(self.UsdPhysics.Tokens.convexHull)
        plane = self.UsdGeom.Plane.Define(self.stage, "/World/plane")
        plane.CreateAxisAttr("Z")
        self._collides(plane)
        # The hand passes through the plane: grasps do not know of it.
        pairs = self.UsdPhysics.FilteredPairsAPI.Apply(plane.GetPrim())
        pairs.CreateFilteredPairsRel().SetTargets([HAND])

    def add_variant(
        self,
        variants: Any,
        scene: Scene,
        keyframe: Keyframe,
        name: str,
        hinges: Float[np.ndarray, "15 3"],
        targets: Float[np.ndarray, "15 3"],
    ) -> None:
        """A variant in which the hand is at the object, bent, and its control is told where to go."""
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        placed = place_links(scene.hand, hinges)
        T_world_hand = scene.T_world_object @ keyframe.T_object_hand
        degrees = dict(zip(scene.hand.hinge_names, np.degrees(targets.reshape(-1)), strict=True))
        with variants.GetVariantEditContext():
            self._place(self._xform(f"{HAND}/hand_target"), T_world_hand[:3, :3], T_world_hand[:3, 3])
            for body in hinge_bodies(scene.hand):
                rotation = self._rotation_of(body, scene.hand, placed.rotations, hinges)
                place = T_world_hand[:3, :3] @ placed.origins[body.carries] + T_world_hand[:3, 3]
                self._place(self._xform(f"{HAND}/{body.name}"), T_world_hand[:3, :3] @ rotation, place)
                if body.hinge is not None:
                    joint = self.stage.GetPrimAtPath(f"{HAND}/joints/{body.hinge}")
                    self.UsdPhysics.DriveAPI(joint, "angular").GetTargetPositionAttr().Set(float(degrees[body.hinge]))

    @staticmethod
    def _rotation_of(
        body: HingeBody,
        hand: ArticulatedHand,
        rotations: Float[np.ndarray, "16 3 3"],
        hinges: Float[np.ndarray, "15 3"],
    ) -> Float[np.ndarray, "3 3"]:
        """Of a body in the frame of the wrist: of its link, or after the hinges that come before it."""
        link = hand.links[body.carries]
        if body.link is not None or body.hinge is None:
            return rotations[body.carries]
        turned = rotations[link.parent]
        for k in range(link.hinge_names.index(body.hinge) + 1):
            turned = turned @ Rotation.from_rotvec(hinges[body.carries - 1, k] * link.axes[k]).as_matrix()
        return turned

    def _xform(self, path: str) -> Any:
        return self.UsdGeom.Xform(self.stage.GetPrimAtPath(path))

    def _place(self, prim: Any, rotation: Float[np.ndarray, "3 3"], place: Float[np.ndarray, " 3"]) -> None:
        """Sets where a body is: a translation and a turn, which physics engines write back to."""
        move = prim.GetTranslateOp() or prim.AddTranslateOp()
        turn = prim.GetOrientOp() or prim.AddOrientOp()
        move.Set(self.Gf.Vec3d(*map(float, place)))
        turn.Set(self._quaternion(rotation))

    def _quaternion(self, rotation: Float[np.ndarray, "3 3"]) -> Any:
        x, y, z, w = map(float, Rotation.from_matrix(rotation).as_quat())
        return self.Gf.Quatf(w, x, y, z)

    def _add_body(self, path: str, mass: Mass) -> Any:
        prim = self.UsdGeom.Xform.Define(self.stage, path)
        self.UsdPhysics.RigidBodyAPI.Apply(prim.GetPrim())
        weight = self.UsdPhysics.MassAPI.Apply(prim.GetPrim())
        moments, axes = np.linalg.eigh(mass.inertia)
        axes = axes * np.sign(np.linalg.det(axes))
        weight.CreateMassAttr(float(mass.mass))
        weight.CreateCenterOfMassAttr(self.Gf.Vec3f(*map(float, mass.center)))
        weight.CreateDiagonalInertiaAttr(self.Gf.Vec3f(*map(float, moments)))
        weight.CreatePrincipalAxesAttr(self._quaternion(axes))
        return prim

    def _add_hinge(self, body: HingeBody) -> None:
        joint = self.UsdPhysics.RevoluteJoint.Define(self.stage, f"{HAND}/joints/{body.hinge}")
        # A joint of USD turns about an axis of its own frame, so that frame's x is laid along ours.
        turn = self._quaternion(Rotation.align_vectors(body.axis[None], [[1.0, 0.0, 0.0]])[0].as_matrix())
        joint.CreateAxisAttr("X")
        joint.CreateBody0Rel().SetTargets([f"{HAND}/{body.parent}"])
        joint.CreateBody1Rel().SetTargets([f"{HAND}/{body.name}"])
        joint.CreateLocalPos0Attr(self.Gf.Vec3f(*map(float, body.offset)))
        joint.CreateLocalPos1Attr(self.Gf.Vec3f(0, 0, 0))
        joint.CreateLocalRot0Attr(turn)
        joint.CreateLocalRot1Attr(turn)
        joint.CreateLowerLimitAttr(float(np.degrees(body.low)))
        joint.CreateUpperLimitAttr(float(np.degrees(body.high)))
        drive = self.UsdPhysics.DriveAPI.Apply(joint.GetPrim(), "angular")
        drive.CreateTypeAttr("force")
        drive.CreateTargetPositionAttr(0.0)
        drive.CreateStiffnessAttr(float(np.radians(STIFFNESS)))  # USD has Nm/degree
        drive.CreateDampingAttr(float(np.radians(DAMPING)))
        drive.CreateMaxForceAttr(TORQUE)

    def _add_capsule(self, path: str, capsule: Capsule) -> None:
        shape = self.UsdGeom.Capsule.Define(self.stage, path)
        along = capsule.end - capsule.start
        length = float(np.linalg.norm(along))
        shape.CreateAxisAttr("X")
        shape.CreateHeightAttr(length)
        shape.CreateRadiusAttr(float(capsule.radius))
        shape.CreatePurposeAttr(self.UsdGeom.Tokens.guide)
        turn = Rotation.align_vectors(along[None] / length, [[1.0, 0.0, 0.0]])[0]
        self._place(shape, turn.as_matrix(), (capsule.start + capsule.end) / 2)
        self._collides(shape)

    def _collides(self, prim: Any) -> None:
        self.UsdPhysics.CollisionAPI.Apply(prim.GetPrim())
        binding = self.UsdShade.MaterialBindingAPI.Apply(prim.GetPrim())
        binding.Bind(self.material, self.UsdShade.Tokens.weakerThanDescendants, "physics")

    def _add_mesh(self, path: str, verts: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], colour: str) -> Any:
        mesh = self.UsdGeom.Mesh.Define(self.stage, path)
        mesh.CreatePointsAttr([self.Gf.Vec3f(*map(float, point)) for point in verts])
        mesh.CreateFaceVertexCountsAttr([3] * len(faces))
        mesh.CreateFaceVertexIndicesAttr(np.asarray(faces).reshape(-1).tolist())
        mesh.CreateSubdivisionSchemeAttr(self.UsdGeom.Tokens.none)
        mesh.CreateDisplayColorAttr([self.Gf.Vec3f(*map(float, colour.split()[:3]))])
        return mesh
