"""The VQ-VAE of object distances (models/vqvae.py)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from hoprior.errors import HopriorError
from hoprior.models.networks.blocks import count_parameters
from hoprior.models.training.lightning import trainable
from hoprior.models.vqvae import SdfVQVAE, inside_iou, soft_iou

TINY: dict[str, Any] = {"grid_resolution": 16, "channels": [16, 16], "res_blocks": 1, "latent_channels": 4}
QUANTIZERS: dict[str, dict[str, Any]] = {"scalar": {"levels": [5] * 4}, "vector": {"codebook_size": 32}}


@pytest.fixture(params=list(QUANTIZERS))
def vqvae(request: pytest.FixtureRequest) -> SdfVQVAE:
    torch.manual_seed(0)
    return SdfVQVAE(**TINY, **QUANTIZERS[request.param]).eval()


def spheres(vqvae: SdfVQVAE, count: int) -> Tensor:
    """Signed distances (count, 1, D, H, W) of spheres of 4 to 7 cm near the palm."""
    generator = torch.Generator().manual_seed(2)
    centers = torch.tensor(vqvae.spec.center) + 0.05 * torch.randn(count, 1, 3, generator=generator)
    radii = 0.04 + 0.03 * torch.rand(count, 1, generator=generator)
    distances = (vqvae.spec.points() - centers).norm(dim=-1) - radii
    return distances.reshape(count, 1, *vqvae.spec.shape)


def test_shapes_and_bounds(vqvae: SdfVQVAE) -> None:
    sdf = spheres(vqvae, 3)
    z = vqvae.encode(sdf)
    assert z.shape == (3, 4, *vqvae.latent_spec.shape)
    reconstruction = vqvae(sdf)
    assert reconstruction.shape == sdf.shape
    assert reconstruction.abs().max() <= vqvae.truncation


def test_a_decoder_may_be_larger_than_its_encoder() -> None:
    torch.manual_seed(0)
    folded = dict(TINY, fold=4, channels=[16], decoder_fold=2, decoder_channels=[8, 16], decoder_res_blocks=2)
    vqvae = SdfVQVAE(**folded, levels=[5] * 4)
    assert count_parameters(vqvae.decoder.parameters()) > count_parameters(vqvae.encoder.parameters())
    sdf = spheres(vqvae, 2)
    assert vqvae(sdf).shape == sdf.shape
    with pytest.raises(HopriorError, match="shrinks the grid 4 times, the decoder grows it 8 times"):
        SdfVQVAE(**{**folded, "decoder_fold": 4}, levels=[5] * 4)


def test_latent_cells_stand_at_the_centres_of_their_blocks(vqvae: SdfVQVAE) -> None:
    points = vqvae.spec.points().reshape(*vqvae.spec.shape, 3)
    blocks = torch.nn.functional.avg_pool3d(points.movedim(-1, 0)[None], vqvae.shrinkage)[0]
    torch.testing.assert_close(blocks.movedim(0, -1).reshape(-1, 3), vqvae.latent_spec.points())


def test_what_is_beyond_the_truncation_is_not_seen(vqvae: SdfVQVAE) -> None:
    sdf = spheres(vqvae, 2)
    far = torch.where(sdf > vqvae.truncation, sdf + 1.0, sdf)
    assert torch.equal(vqvae.encode(far), vqvae.encode(sdf))


def test_codes_are_their_own_codes(vqvae: SdfVQVAE) -> None:
    codes = vqvae.quantize(vqvae.encode(spheres(vqvae, 2))).codes
    torch.testing.assert_close(vqvae.quantize(codes).codes, codes)


def test_there_are_finitely_many_codes(vqvae: SdfVQVAE) -> None:
    z = torch.randn(8, 4, *vqvae.latent_spec.shape)
    codes = vqvae.quantize(z.tanh() if vqvae.scalar else z).codes.movedim(1, -1).reshape(-1, 4)
    limit = 5**4 if vqvae.scalar else 32
    assert 8 < len(codes.mul(1e3).round().unique(dim=0)) <= limit


def test_grids_do_not_meet(vqvae: SdfVQVAE) -> None:
    sdf = spheres(vqvae, 3)
    torch.testing.assert_close(vqvae.encode(sdf)[1:2], vqvae.encode(sdf[1:2]), rtol=1e-4, atol=1e-5)


def test_it_learns_a_few_grids() -> None:
    torch.manual_seed(0)
    vqvae = SdfVQVAE(**TINY, **QUANTIZERS["scalar"])
    sdf = spheres(vqvae, 4)
    optimizer = torch.optim.AdamW(vqvae.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        vqvae.loss(sdf)["loss"].backward()
        optimizer.step()
    vqvae.eval()
    assert inside_iou(vqvae(sdf), sdf).min() > 0.7


@pytest.mark.parametrize("kind", list(QUANTIZERS))
def test_every_parameter_learns(kind: str) -> None:
    torch.manual_seed(0)
    vqvae = SdfVQVAE(**TINY, **QUANTIZERS[kind])
    for parameter in vqvae.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    vqvae.loss(spheres(vqvae, 2))["loss"].backward()
    idle = [name for name, p in vqvae.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_gradients_reach_the_distances_through_frozen_weights(vqvae: SdfVQVAE) -> None:
    vqvae.requires_grad_(False)
    sdf = spheres(vqvae, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(vqvae.encode(sdf)[0].square().sum(), sdf)
    assert gradient[0].any() and not gradient[1].any()
    assert not gradient[sdf.detach().abs() > vqvae.truncation].any()


def test_the_file_gives_the_same_vqvae(vqvae: SdfVQVAE, tmp_path: Path) -> None:
    vqvae.save_safetensors(tmp_path / "vqvae.safetensors")
    again = SdfVQVAE.from_safetensors(tmp_path / "vqvae.safetensors")
    assert again.config() == vqvae.config()
    sdf = spheres(vqvae, 2)
    torch.testing.assert_close(again.encode(sdf), vqvae.encode(sdf), rtol=0.02, atol=0.005)  # half precision


def test_inside_iou() -> None:
    a = torch.ones(3, 1, 2, 2, 2)
    b = a.clone()
    a[0, 0, 0], b[0, 0, 0] = -1, -1  # the same four cells
    a[1, 0, 0], b[1, 0, :, 0] = -1, -1  # two of six
    iou = inside_iou(a, b)
    torch.testing.assert_close(iou[:2], torch.tensor([1.0, 1 / 3]))
    assert iou[2].isnan()


def test_soft_iou_is_that_of_sharp_insides() -> None:
    a, b = torch.zeros(2, 1, 6, 6, 6), torch.zeros(2, 1, 6, 6, 6)
    a[0, :, :3], b[0, :, :, :3] = 1, 1  # 108 cells each, 54 shared, and five that count for both
    torch.testing.assert_close(soft_iou(a, b), torch.tensor([59 / 167, 1.0]))


def test_overlap_pulls_thin_things_harder() -> None:
    torch.manual_seed(0)
    plain, keen = (SdfVQVAE(**TINY, levels=[5] * 4, overlap_weight=weight) for weight in (0.0, 1.0))
    keen.load_state_dict(plain.state_dict())
    sdf = spheres(plain, 2)
    added = keen.loss(sdf)["loss"] - plain.loss(sdf)["loss"]
    assert 0 < added <= 1


def test_the_embedded_size_is_small() -> None:
    with torch.device("meta"):
        vqvae = SdfVQVAE(levels=[7] * 8)
    assert count_parameters(vqvae.parameters()) < 4e6
    assert vqvae.latent_spec.resolution == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"grid_resolution": 18}, "no multiple of 4"), ({"levels": [5, 5]}, "2 levels for 4 latent channels")],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(HopriorError, match=message):
        SdfVQVAE(**{**TINY, **arguments})


def test_a_linear_path_begins_at_the_principal_components() -> None:
    torch.manual_seed(0)
    vqvae = SdfVQVAE(**{**TINY, "latent_channels": 12}, levels=[255] * 12, linear=True)
    sdf, other = spheres(vqvae, 12), spheres(vqvae, 20)[12:]
    assert vqvae.components is not None and not vqvae.components.begun
    blank = inside_iou(vqvae(other), other)
    vqvae.components.begin(vqvae.truncated(sdf))
    assert vqvae.components.begun
    # Nothing is learnt, and grids that were not among the first come back.
    assert inside_iou(vqvae(other), other).mean() > 0.9 > blank.nan_to_num(0.0).mean()
    codes = vqvae.encode(sdf)
    torch.testing.assert_close(codes.abs().amax(dim=(0, 2, 3, 4)), torch.ones(12))
    # Coefficients of the largest component are the means of blocks, up to their scale.
    means = torch.nn.functional.avg_pool3d(vqvae.truncated(sdf), vqvae.shrinkage)
    pairs = torch.stack([means.flatten(), codes[:, 0].flatten()])
    assert torch.corrcoef(pairs)[0, 1].abs() > 0.99


def test_a_linear_path_begins_with_the_first_step_and_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vqvae = trainable(SdfVQVAE)(**TINY, levels=[255] * 4, linear=True, learning_rate=1e-3, warmup_steps=1)
    batches = [{"object_sdf": spheres(vqvae, 4)} for _ in range(3)]
    trainer = Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(vqvae, DataLoader(batches, batch_size=None))
    assert vqvae.components is not None and vqvae.components.begun
    vqvae.save_safetensors(tmp_path / "vqvae.safetensors")
    again = SdfVQVAE.from_safetensors(tmp_path / "vqvae.safetensors")
    assert again.components is not None and again.components.begun
    # Files hold half precision.
    torch.testing.assert_close(
        again(batches[0]["object_sdf"]), vqvae.eval()(batches[0]["object_sdf"]), atol=1e-3, rtol=0
    )
