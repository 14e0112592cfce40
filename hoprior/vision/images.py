"""Photos and masks as people have them: any mode, any depth, any orientation."""

import contextlib
import io
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from hoprior.common.reading import UNEXPECTED, reason_of
from hoprior.errors import HopriorError

MOST_PIXELS = 180_000_000
"""Of a picture: more than any camera takes, and 720 MB."""
MIN_SIDE = 32
"""Pixels; a smaller picture shows no finger."""
EXIF_IFD, FOCAL_35MM = 0x8769, 0xA405
DIAGONAL_35MM = 43.27
"""Millimetres, of the film frame that equivalent focal lengths refer to."""
NO_PHOTOS = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF")
"""Formats that Pillow lists and that are documents, or whose pictures it does not read itself."""
SAID_BY_BYTES = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000")
"""Formats that the first bytes of a file say."""
HEIF_ENDINGS = (".heic", ".heif", ".hif")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Of phones' photos, in bytes 8 to 12 of the file."""
RAW_ENDINGS = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")
"""Of cameras' raw files."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras give a channel, whatever the file has room for."""
SAME_ASPECT = 0.01
"""Relative difference of the sides' ratio up to which a mask is the photo's, only scaled."""


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright picture, and its focal length in pixels where the camera wrote one into the file.

    Example:
        >>> photo = Photo(np.zeros((480, 640, 3), dtype=np.uint8), path=Path("mugs/red.jpg"))
        >>> photo.size, photo.name
        ((640, 480), 'red')
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    focal: float | None = None
    path: Path | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def name(self) -> str:
        """The file's name without its extension."""
        return self.path.stem if self.path else "photo"


def read_photo(path: str | Path) -> Photo:
    """A photo of any mode (grey, palette, CMYK, 16 bits, with transparency), turned upright as its EXIF data say.

    Raises:
        HopriorError: there is no such file, it is no picture, it is cut short, or it is too small or far too large.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("L", (64, 48), 200).save(f"{folder}/grey.png")
        ...     photo = read_photo(f"{folder}/grey.png")
        >>> photo.pixels.shape, photo.pixels[0, 0], photo.focal
        ((48, 64, 3), array([200, 200, 200], dtype=uint8), None)
    """
    path = Path(path)
    image = open_picture(path)
    focal_35mm = _focal_35mm(image)
    upright = _upright(image)
    if min(upright.size) < MIN_SIDE:
        raise HopriorError(
            f"{path}: {upright.width} x {upright.height} pixels are too few to see a hand: at least {MIN_SIDE} a side"
        )
    focal = focal_35mm / DIAGONAL_35MM * float(np.hypot(*upright.size)) if focal_35mm else None
    return Photo(_to_rgb(upright), focal, path)


def read_mask(path: str | Path, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """A mask of a photo that has `size`: true where a pixel is brighter than half of the brightest.

    A mask of another resolution is scaled.

    Raises:
        HopriorError: as `read_photo`; or the mask is empty, or not of the photo's shape.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.fromarray(255 * np.eye(64, dtype=np.uint8)).save(f"{folder}/mask.png")
        ...     mask = read_mask(f"{folder}/mask.png", size=(64, 64))
        >>> mask.dtype, int(mask.sum())
        (dtype('bool'), 64)
    """
    path = Path(path)
    image = _upright(open_picture(path))
    wanted, found = size[0] / size[1], image.width / image.height
    if abs(found / wanted - 1) > SAME_ASPECT:
        raise HopriorError(
            f"{path}: the mask has {image.width} x {image.height} pixels, the photo {size[0]} x {size[1]}: give a mask"
            " of this very photo"
        )
    values = _to_rgb(image).max(axis=2)
    mask = values > values.max() / 2
    if not values.max():
        raise HopriorError(f"{path}: the mask is empty: paint the hand white, or leave --mask out")
    if image.size == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


@cache
def picture_endings() -> frozenset[str]:
    """Endings, in small letters, of the files that are taken for pictures: all that Pillow opens, and HEIC.

    Example:
        >>> {".jpg", ".jfif", ".heic"} <= picture_endings(), ".pdf" in picture_endings()
        (True, False)
    """
    known = Image.registered_extensions()
    opened = {ending for ending, kind in known.items() if kind in Image.OPEN and kind not in NO_PHOTOS}
    return frozenset(opened.union(HEIF_ENDINGS, RAW_ENDINGS))


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its name or, where the name says nothing, by its first bytes."""
    if path.suffix.lower() in picture_endings():
        return True
    if not path.is_file():
        return False
    picture_endings()  # which makes Pillow list its formats
    try:
        with Image.open(path, formats=[name for name in SAID_BY_BYTES if name in Image.OPEN]):
            return True
    except Exception:  # Pillow's plug-ins differ in what they raise; it is not known to be a picture
        return _is_heif(path)


def open_picture(source: str | Path | bytes, name: object = None, advice: str = "save it again") -> Image.Image:
    """A picture, whole, and of no more than `MOST_PIXELS` pixels.

    Not of every format that Pillow knows (`NO_PHOTOS`): some are programs, which it hands to other programs.

    Args:
        source: a file, or what is in one.
        name: of the file, for sentences.
        advice: what to do about a damaged one.

    Raises:
        HopriorError: there is no such file, it is no picture, of a format that needs something else, damaged, or
            far too large.
    """
    name = name or source
    if not isinstance(source, bytes):
        source = Path(source)
        if not source.is_file():
            raise HopriorError(f"{name}: there is no such file")
        if source.suffix.lower() in RAW_ENDINGS:
            raise HopriorError(f"{name}: is a camera's raw file: save it as JPEG or PNG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is below
            image = _identified(source, name)
        if image.width * image.height > MOST_PIXELS:
            image.close()
            raise Image.DecompressionBombError
        image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        reason = "is no picture" if isinstance(error, UnidentifiedImageError) else "has too many pixels to open"
        raise HopriorError(f"{name}: {reason}: give a JPEG or PNG file") from error
    # Pillow's plug-ins differ in what they raise, and so does what unpacks for them.
    except (OSError, *UNEXPECTED) as error:
        raise HopriorError(f"{name}: the picture is damaged ({reason_of(error)}): {advice}") from error
    return image


def _identified(source: Path | bytes, name: object) -> Image.Image:
    try:
        return _opened(source)
    except UnidentifiedImageError:
        if not _is_heif(source):
            raise
    _read_heif(name)
    try:
        return _opened(source)
    except UnidentifiedImageError as error:
        raise OSError("not a whole HEIC file") from error


def _opened(source: Path | bytes) -> Image.Image:
    Image.init()
    formats = [kind for kind in Image.OPEN if kind not in NO_PHOTOS]
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)


def _is_heif(source: Path | bytes) -> bool:
    if isinstance(source, bytes):
        head = source[:12]
    else:
        with source.open("rb") as file:
            head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def _read_heif(name: object) -> None:
    """Makes Pillow read HEIC."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise HopriorError(
            f"{name}: is HEIC, as phones save photos: pip install 'hoprior[formats]', or save it as JPEG"
        ) from error
    register_heif_opener()


def _focal_35mm(image: Image.Image) -> float | None:
    """The equivalent focal length that the camera wrote, if it wrote one that can be."""
    with contextlib.suppress(OSError, *UNEXPECTED):  # a picture is none the worse for what its camera says of itself
        focal = float(image.getexif().get_ifd(EXIF_IFD)[FOCAL_35MM])
        return focal if 1 <= focal <= 10_000 else None
    return None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, *UNEXPECTED):  # nobody knows which way up, so it is taken as it lies
        return image


def _to_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # Pillow clips these to 255 instead of scaling them.
        values = np.asarray(image, dtype=np.float32)
        high = values.max()
        full = next((2.0**bits - 1 for bits in DEPTHS if high < 2**bits), high) if high > 1 else 1.0
        image = Image.fromarray((255 * np.clip(values / full, 0, 1)).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))
