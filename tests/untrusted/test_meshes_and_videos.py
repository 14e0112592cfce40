"""Meshes and videos that name other files, or stand for more than they are."""

import io
import json
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
import trimesh

from hoprior.errors import HopriorError
from hoprior.geometry.mesh import load_mesh, read_surface
from hoprior.vision.video import read_video, video_info

BOX = trimesh.creation.box((0.06, 0.05, 0.1))


# ---- References ----


def gltf(uri: str) -> str:
    files = trimesh.exchange.gltf.export_gltf(trimesh.Scene(BOX), merge_buffers=True)
    tree = json.loads(files["model.gltf"])
    tree["buffers"][0]["uri"] = uri
    return json.dumps(tree)


@pytest.mark.parametrize(
    "uri",
    ["../secret.bin", "%2e%2e/secret.bin", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/a", "/dev/zero"],
)
def test_gltf_opens_no_file_outside_of_its_folder(tmp_path: Path, uri: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.gltf").write_text(gltf(uri))
    with pytest.raises(HopriorError, match=r"outside its folder|not there"):
        load_mesh(tmp_path / "set" / "a.gltf")


def test_obj_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Materials do not matter to a grasp, so that none is looked for."""
    body = BOX.export(file_type="obj")
    (tmp_path / "a.obj").write_text("mtllib ../secret.mtl\nmtllib /etc/passwd\nmtllib /dev/zero\nusemtl x\n" + body)
    opened: list[str] = []
    real = io.open

    def seen(file, *arguments, **more):  # type: ignore[no-untyped-def]
        opened.append(str(file))
        return real(file, *arguments, **more)

    monkeypatch.setattr("builtins.open", seen)
    assert load_mesh(tmp_path / "a.obj").watertight
    assert not [name for name in opened if "secret" in name or "passwd" in name or "/dev/zero" in name]


def test_a_robot_s_description_takes_meshes_only(tmp_path: Path) -> None:
    """It may name meshes anywhere, as those of packages do; anything else is no mesh."""
    places = ("/etc/passwd", "../../../../etc/passwd", "file:///etc/passwd", "/dev/zero", "http://127.0.0.1:9/a.stl")
    for name in places:
        shape = f'<visual><geometry><mesh filename="{name}"/></geometry></visual>'
        body = f'<robot name="r"><link name="a">{shape}</link></robot>'
        (tmp_path / "a.urdf").write_text(body)
        with pytest.raises(HopriorError):
            read_surface(tmp_path / "a.urdf")


# ---- XML ----

LAUGHS = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 12))
DOCTYPES = {
    "laughs": f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>',
    "a file": '<!DOCTYPE x [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
    "an address": '<!DOCTYPE x [<!ENTITY l11 SYSTEM "http://127.0.0.1:9/x">]>',
    "a parameter": '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
}
BODIES = {
    "a.urdf": '<robot name="&l11;"><link name="a"/></robot>',
    "a.xml": '<mujoco model="&l11;"><worldbody/></mujoco>',
    "a.dae": '<COLLADA version="1.4.1"><asset>&l11;</asset></COLLADA>',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("doctype", DOCTYPES)
@pytest.mark.parametrize("name", BODIES)
def test_xml_defines_nothing(tmp_path: Path, name: str, doctype: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n{DOCTYPES[doctype]}\n{BODIES[name]}'
    (tmp_path / name).write_bytes(text.encode(encoding))
    with pytest.raises(HopriorError, match=r"entities of its own|hoprior\[formats\]"):
        load_mesh(tmp_path / name)


@pytest.mark.parametrize("ending", ["3mf", "zae"])
def test_xml_in_an_archive_defines_nothing_either(tmp_path: Path, ending: str) -> None:
    with zipfile.ZipFile(tmp_path / f"a.{ending}", "w") as archive:
        archive.writestr("3D/3dmodel.model", f"{DOCTYPES['laughs']}<model>&l11;</model>")
        archive.writestr("a.dae", f"{DOCTYPES['laughs']}<COLLADA>&l11;</COLLADA>")
    with pytest.raises(HopriorError, match=r"entities of its own|hoprior\[formats\]"):
        load_mesh(tmp_path / f"a.{ending}")


# ---- Archives ----


@pytest.mark.parametrize("name", ["a.3mf", "a.zae"])
def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in ("3D/3dmodel.model", "b.dae"):
            with archive.open(member, "w") as file:
                for _ in range(40):
                    file.write(bytes(8 << 20))
    with pytest.raises(HopriorError, match=r"unpacks to 640 MiB|hoprior\[formats\]"):
        load_mesh(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["a.zip", "a.obj", "a", "a.tar", "a.tgz", "a.gz", "a.bz2", "a.7z", "a.tar.gz", "a.tar.bz2"]
)
def test_archives_are_not_unpacked(tmp_path: Path, name: str) -> None:
    """Whoever packed one may have meant files anywhere, and any size."""
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../box.obj", BOX.export(file_type="obj"))
    with pytest.raises(HopriorError, match="unpack it, and give the mesh in it"):
        load_mesh(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


# ---- Counts ----


def test_a_scene_of_too_many_nodes_is_refused(tmp_path: Path) -> None:
    tree = {
        "asset": {"version": "2.0"},
        "nodes": [{}] * 200_000,
        "scenes": [{"nodes": list(range(200_000))}],
        "scene": 0,
    }
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    with pytest.raises(HopriorError, match="a scene of 200,000 nodes"):
        load_mesh(tmp_path / "a.gltf")


COUNTS = {
    "a.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nproperty float y\n"
    b"property float z\nelement face 4000000000\nproperty list uchar int vertex_indices\nend_header\n\0\0",
    "a.stl": bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(50),
    "a.off": b"OFF\n4000000000 4000000000 0\n0 0 0\n",
    "b.obj": b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n",
    "c.obj": b"v 0 0 0\nv 1e400 0 0\nv 0 1 0\nf 1 2 99999999999999999999999\n",
    "d.obj": b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\nf 1 2\n",
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_numbers_that_cannot_be_are_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(COUNTS[name])
    with pytest.raises(HopriorError, match=name.replace(".", r"\.")):
        load_mesh(tmp_path / name)


# ---- Videos ----


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    make = ["-f", "lavfi", "-i", "testsrc=duration=0.4:size=64x48:rate=10", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *make], check=True)
    return path


LISTS = {
    "a playlist": "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\n{place}\n#EXT-X-ENDLIST\n",
    "a playlist after a mark": "\ufeff#EXTM3U\n#EXTINF:1,\n{place}\n#EXT-X-ENDLIST\n",
    "a list of pieces": "ffconcat version 1.0\nfile '{place}'\n",
    "a manifest": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{place}</BaseURL></MPD>',
    "a session": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
}


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("name", ["b.mp4", "b.m3u8"])
def test_a_list_of_other_files_is_no_video(video: Path, tmp_path: Path, what: str, name: str) -> None:
    (tmp_path / name).write_text(LISTS[what].format(place=video), encoding="utf-8")
    for read in (video_info, lambda path: list(read_video(path))):
        with pytest.raises(HopriorError, match="is a list of other files and no video"):
            read(tmp_path / name)


def test_a_video_whose_name_is_an_address_is_a_file(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pipe:0", "concat:a|b", "http:x.mp4"):
        shutil.copy(video, name)
        assert video_info(name).size == (64, 48) and len(list(read_video(name))) == 4
