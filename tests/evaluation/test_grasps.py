"""`hoprior eval grasp`: what it reads, what it writes, and what it says of folders that are not right."""

import csv
import json

import numpy as np
import pytest
import torch
import trimesh

from hoprior.cli.entry import main as cli
from hoprior.cli.eval_grasp import main
from hoprior.errors import HopriorError
from hoprior.evaluation import grasps, lifts
from hoprior.evaluation.grasp_sets import load_sets
from hoprior.evaluation.grasps import evaluate, save, table_rows
from hoprior.hand import load_hand
from hoprior.results.grasps import GraspResult, GraspResults

CUBE = trimesh.creation.box((0.1, 0.1, 0.1))
BALL = trimesh.creation.icosphere(2, 0.02)
DEPTHS = (0.001, 0.004, 0.009)


def results(depths=DEPTHS, source="cube.obj", metres_per_unit=1.0) -> GraspResults:
    """Balls for hands that dip into a cube, the shallowest with the best score."""
    grasps = []
    for rank, depth in enumerate(depths):
        T_object_hand = np.eye(4)
        T_object_hand[0, 3] = 0.07 - depth
        grasps.append(
            GraspResult(
                score=-float(rank),
                hand="open",
                side="right",
                hand_pose=np.zeros((15, 3)),
                betas=np.zeros(10),
                T_object_hand=T_object_hand,
                joints_object=np.zeros((21, 3)) + T_object_hand[:3, 3],
                verts_object=BALL.vertices + T_object_hand[:3, 3],
            )
        )
    return GraspResults(tuple(grasps), BALL.faces, CUBE, "cube", source, metres_per_unit, seed=7)


def write_glb(path, hand_at=(0.066, 0, 0), names=("hand", "object"), scale=1.0):
    scene = trimesh.Scene()
    for name, mesh in zip(names, (BALL.copy().apply_translation(hand_at), CUBE.copy()), strict=True):
        scene.add_geometry(mesh.apply_scale(scale), node_name=name, geom_name=name)
    path.parent.mkdir(parents=True, exist_ok=True)
    scene.export(path)


@pytest.fixture
def folder(tmp_path):
    return results().save(tmp_path / "cube")


def document(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_results_folder_becomes_a_table_json_and_csv(folder, capsys):
    assert cli(["eval", "grasp", str(folder), "--no-simulate"]) == 0
    printed = capsys.readouterr().out
    assert "cube" in printed and "cm³" in printed
    found = document(folder)
    depths = [grasp["max_depth_cm"] for grasp in found["objects"]["cube"]["grasps"]]
    assert depths == pytest.approx([0.1, 0.4, 0.9], abs=0.02)
    mean = found["objects"]["cube"]["mean"]
    assert mean["max_depth_cm"] == pytest.approx(np.mean(depths))
    assert mean["contact_ratio"] == 1 and mean["displacement_cm"] is None
    # The balls differ in the object's frame only, along one axis of three.
    assert mean["diversity_object_cm"] == pytest.approx(100 * np.std(DEPTHS) / 3, rel=1e-3)
    assert mean["diversity_hand_cm"] == pytest.approx(0, abs=1e-4)
    assert found["counts"] == {"objects": 1, "grasps": 3} and found["seeds"] == {"cube": 7}
    assert found["versions"]["hoprior"]
    with (folder / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["object"] == "cube" and float(row["max_depth_cm"]) == pytest.approx(mean["max_depth_cm"], rel=1e-4)


def test_results_in_millimetres_measure_the_same(tmp_path, folder):
    other = results(metres_per_unit=0.001).save(tmp_path / "mm")
    means = [evaluate(load_sets(place), simulate=False).mean for place in (folder, other)]
    found = [{name: value for name, value in mean.items() if value is not None} for mean in means]
    assert len(found[0]) > 6
    assert found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-4)


def test_a_folder_of_folders_has_a_row_each_and_their_mean(tmp_path, folder):
    results((0.02,), source="dice.obj").save(tmp_path / "dice")
    main([str(tmp_path), "--no-simulate", "--out", str(tmp_path / "report")])
    found = document(tmp_path / "report")
    assert list(found["objects"]) == ["cube", "dice"]
    depths = [found["objects"][name]["mean"]["max_depth_cm"] for name in ("cube", "dice")]
    assert found["mean"]["max_depth_cm"] == pytest.approx(np.mean(depths)) and found["mean"]["grasps"] == 4
    with (tmp_path / "report" / "metrics.csv").open() as file:
        assert [row["object"] for row in csv.DictReader(file)] == ["cube", "dice", "mean of objects"]


def test_glbs_of_other_programs_are_measured(tmp_path):
    for k in range(2):
        write_glb(tmp_path / "theirs" / f"{k}.glb", (0.066 - 0.001 * k, 0, 0), scale=100.0)
    found = evaluate(load_sets(tmp_path / "theirs", unit="cm"), simulate=False)
    assert [one.max_depth_cm for one in found.grasps["theirs"]] == pytest.approx([0.4, 0.5], abs=0.02)
    assert found.rows["theirs"].get("diversity_hand_cm") is None


def test_a_rank_is_made_of_the_scores(tmp_path):
    depths = np.linspace(0.001, 0.01, 20)
    found = evaluate(load_sets(results(depths).save(tmp_path / "many")), simulate=False)
    assert {label: row["grasps"] for label, row in found.ranking.items()} == {
        "top 10 %": 2,
        "all": 20,
        "bottom 10 %": 2,
    }
    top, everything, bottom = (row["max_depth_cm"] for row in found.ranking.values())
    assert top == pytest.approx(100 * depths[:2].mean(), abs=0.02) and top < everything < bottom


def test_displacement_is_simulated_and_ranked(folder):
    pytest.importorskip("pybullet", reason="needs the extra `sim`")
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    main([str(folder)])
    mean = document(folder)["mean"]
    assert mean["displacement_cm"] > 5
    assert -1 <= mean["score_displacement_spearman"] <= 1


def test_contacts_tell_epsilon_and_agreement_with_people(tmp_path):
    """A flat hand on a cube, and one recorded beside it: one side closes nothing, and both touch much the same."""
    hand = load_hand()
    flat = hand(torch.zeros(1, 15, 3))
    place = np.eye(4)
    place[:3, :3] = np.diag([1.0, -1.0, -1.0])
    place[:3, 3] = [-0.1, 0.0, 0.0]
    verts = flat.verts[0].numpy() @ place[:3, :3].T + place[:3, 3]
    place[2, 3] = 0.048 - verts[np.abs(verts).max(axis=1) < 0.05, 2].min()  # 2 mm into its top
    points = [part[0].numpy().astype(float) @ place[:3, :3].T + place[:3, 3] for part in (flat.verts, flat.joints)]
    one = GraspResult(0.0, "open", "right", np.zeros((15, 3)), np.zeros(10), place, points[1], points[0])
    GraspResults((one,), hand.faces.numpy(), CUBE, "cube", "cube.obj").save(tmp_path / "flat")
    np.savez(tmp_path / "recorded.npz", joints_object=points[1][None] + [0.003, 0, 0], object=np.array(["cube"]))
    main([str(tmp_path / "flat"), "--no-simulate", "--contacts", "--likeness", str(tmp_path / "recorded.npz")])
    mean = document(tmp_path / "flat")["mean"]
    assert mean["epsilon"] == mean["epsilon_volume"] == 0
    iou = mean["contact_iou"]
    assert 0.5 < iou < 1 and mean["contact_f1"] == pytest.approx(2 * iou / (1 + iou))
    assert mean["volume_share"] == pytest.approx(mean["volume_cm3"] / 1000, abs=1e-3)
    assert mean["tips_mm"] > 0 and "frechet_cm" not in mean


def test_likeness_is_matched_by_the_meshs_name(tmp_path, folder):
    joints = np.stack([grasp.joints_object for grasp in results()])
    np.savez(tmp_path / "recorded.npz", joints_object=joints, object=np.array(["cube"] * 3))
    main([str(folder), "--no-simulate", "--likeness", str(tmp_path / "recorded.npz")])
    mean = document(folder)["mean"]
    assert mean["nearest_cm"] == pytest.approx(0, abs=1e-4) and mean["precision"] == mean["coverage"] == 1
    np.savez(tmp_path / "recorded.npz", joints_object=joints, object=np.array(["mug"] * 3))
    with pytest.raises(HopriorError, match="no grasps of cube, only of mug"):
        main([str(folder), "--no-simulate", "--likeness", str(tmp_path / "recorded.npz")])


def test_without_the_simulator_the_column_is_empty_unless_it_was_asked_for(folder, monkeypatch, capsys):
    monkeypatch.setattr("hoprior.physics.simulation.extras.find_spec", lambda name: None)
    main([str(folder)])
    assert document(folder)["mean"]["displacement_cm"] is None
    assert "hoprior[sim]" in capsys.readouterr().out
    with pytest.raises(HopriorError, match=r"hoprior\[sim\]"):
        main([str(folder), "--simulate"])


def test_folders_that_are_not_right_are_named(tmp_path, folder):
    with pytest.raises(HopriorError, match="no such folder"):
        main([str(tmp_path / "nowhere")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(HopriorError, match="no grasps in it"):
        main([str(tmp_path / "empty")])
    (folder / "grasps.json").write_text("{")
    with pytest.raises(HopriorError, match="damaged"):
        main([str(folder)])
    write_glb(tmp_path / "named" / "a.glb", names=("hand", "mug"))
    with pytest.raises(HopriorError, match="named `hand` and `object`"):
        main([str(tmp_path / "named")])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.glb").write_bytes(b"not a glb")
    with pytest.raises(HopriorError, match="cannot be read"):
        main([str(tmp_path / "broken")])
    with pytest.raises(HopriorError, match="joints_object"):
        main([str(tmp_path / "cube"), "--likeness", str(tmp_path / "named" / "a.glb")])


def lifted(monkeypatch, tmp_path, **more):
    """The evaluation of three hands of which, by a stand-in for the simulator, the first lifts."""
    monkeypatch.setattr(lifts, "which_lift", lambda joints, *_, **__: np.arange(len(joints)) == 0)
    monkeypatch.setattr(grasps, "which_lift", lifts.which_lift)
    return evaluate(load_sets(results().save(tmp_path / "cube")), simulate=False, lift=True, **more)


def test_people_stand_beside_what_is_lifted(monkeypatch, tmp_path):
    """Their row is of the same objects where recordings of them are given, else of the calibration's."""
    found = lifted(monkeypatch, tmp_path, recorded={"cube": np.zeros((4, 21, 3))})
    rows = table_rows(found)
    assert rows["cube"]["lift"] == pytest.approx(1 / 3)
    assert rows["people"] == {"grasps": 4, "lift": 0.25}
    other = table_rows(lifted(monkeypatch, tmp_path))
    assert other["people (ten DexYCB objects)"]["lift"] > 0.9
    save(found, tmp_path, {})
    assert json.loads((tmp_path / "metrics.json").read_text())["people"] == {"of": "people", "grasps": 4, "lift": 0.25}
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["object"] for row in csv.DictReader(file)] == ["cube", "people"]
    assert "people" not in table_rows(evaluate(load_sets(tmp_path / "cube"), simulate=False))


def test_hands_without_joints_cannot_be_lifted(tmp_path, capsys):
    pytest.importorskip("mujoco", reason="needs the extra `sim`")
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    write_glb(tmp_path / "theirs" / "0.glb")
    assert cli(["eval", "grasp", str(tmp_path / "theirs"), "--lift"]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "--lift needs the hands' joints" in said and "grasps.json" in said
    assert not (tmp_path / "theirs" / "metrics.json").exists()


def test_lifting_without_the_simulator_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr("hoprior.cli.eval_grasp.simulator_missing", lambda *_, **__: "mujoco is not installed")
    with pytest.raises(HopriorError, match="--lift: mujoco is not installed"):
        main([str(folder), "--lift", "--no-simulate"])
