"""Draw the demo's pictures (ftpgateway/demo/pictures). Needs Pillow and numpy, which pixraft itself does not.

The pictures are computed, so they are the project's own. Run: python docs/make_pictures.py TARGET_DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Stops = list[tuple[float, tuple[int, int, int]]]

DAY: Stops = [(0.0, (64, 120, 190)), (0.4, (150, 190, 226)), (1.0, (214, 226, 234))]
DUSK: Stops = [(0.0, (28, 34, 74)), (0.35, (164, 92, 110)), (0.55, (250, 176, 110)), (1.0, (252, 206, 150))]
FIRE: Stops = [
    (0.0, (6, 4, 22)),
    (0.3, (60, 16, 92)),
    (0.55, (206, 60, 64)),
    (0.8, (252, 176, 66)),
    (1.0, (255, 250, 220)),
]
ICE: Stops = [
    (0.0, (250, 252, 255)),
    (0.35, (126, 196, 228)),
    (0.65, (24, 92, 150)),
    (0.9, (8, 22, 58)),
    (1.0, (4, 6, 20)),
]
EARTH: Stops = [
    (0.0, (10, 30, 80)),
    (0.48, (28, 92, 150)),
    (0.5, (206, 190, 140)),
    (0.6, (60, 116, 58)),
    (0.8, (120, 100, 80)),
    (1.0, (250, 250, 250)),
]


def noise(rng: np.random.Generator, height: int, width: int, octaves: int = 7, first: int = 3) -> Array:
    """Sum smooth random grids of growing fineness; values 0 to 1."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        cells = first * 2**octave
        grid = rng.random((cells + 2, cells * width // height + 2))
        picture = Image.fromarray((grid * 65535).astype(np.int32), mode="I").convert("F")
        layer = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)) / 65535
        total += layer / 2**octave
    return (total - total.min()) / (total.max() - total.min())


def ramp(values: Array, stops: Stops) -> Array:
    """Colour values between 0 and 1 by linear interpolation between the stops."""
    places = [place for place, _ in stops]
    return np.stack([np.interp(values, places, [colour[c] for _, colour in stops]) for c in range(3)], axis=-1)


def ridges(seed: int, width: int, height: int, sky: Stops, sun: float) -> Array:
    """Mountain ranges one behind the other in haze, under a sky with clouds and a sun."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = ramp(y / height, sky)
    distance = np.hypot(x - sun * width, y - 0.33 * height) / height
    picture += np.clip(1 - distance * 3, 0, 1)[..., None] * np.array([120, 90, 50])
    picture[distance < 0.045] = (255, 244, 214)
    clouds = np.clip(noise(rng, height, width) * 2.2 - 1.25, 0, 1) * np.clip(1 - y / height * 1.9, 0, 1)
    picture = picture * (1 - clouds[..., None] * 0.7) + 255 * clouds[..., None] * 0.7
    haze = np.array(sky[-1][1], dtype=float)
    for layer in range(6):
        profile = noise(rng, 64, width, 7, 2)[32]
        top = height * (0.42 + 0.09 * layer) - profile * height * (0.24 - 0.018 * layer)
        depth = (layer + 1) / 6
        texture = noise(rng, height, width, 8, 6)
        rock = np.array([38, 58, 52]) * (0.55 + 0.9 * texture[..., None])
        colour = haze * (1 - depth) * 0.8 + rock * (0.25 + 0.75 * depth)
        inside = (y >= top[None, :])[..., None]
        picture = np.where(inside, colour, picture)
    return picture + rng.normal(0, 3.5, picture.shape)


def lake(seed: int, width: int, height: int) -> Array:
    """The ranges again at DUSK, mirrored in water."""
    upper = ridges(seed, width, height * 6 // 10, DUSK, 0.3)
    rng = np.random.default_rng(seed + 1)
    rows = height - upper.shape[0]
    mirrored = upper[::-1][:rows].copy()
    ripple = (noise(rng, rows, width, 7, 16) - 0.5) * np.linspace(3, 36, rows)[:, None]
    columns = np.clip(np.arange(width)[None, :] + ripple, 0, width - 1).astype(int)
    mirrored = mirrored[np.arange(rows)[:, None], columns] * 0.72 + np.array([8, 18, 34])
    return np.concatenate([upper, mirrored])


def julia(constant: complex, width: int, height: int, zoom: float, stops: Stops) -> Array:
    """A Julia set, coloured smoothly by how fast points escape."""
    y, x = np.mgrid[0:height, 0:width]
    z = ((x - width / 2) + 1j * (y - height / 2)) * (zoom / height)
    steps = np.zeros(z.shape)
    alive = np.ones(z.shape, dtype=bool)
    for step in range(220):
        z[alive] = z[alive] ** 2 + constant
        escaped = alive & (np.abs(z) > 16)
        steps[escaped] = step + 1 - np.log2(np.log(np.abs(z[escaped])) / np.log(16))
        alive &= ~escaped
    steps[alive] = 220
    return ramp(np.clip(steps / 110, 0, 1) ** 0.45, stops)


def planet(seed: int, side: int) -> Array:
    """A planet with seas, clouds and a terminator, before stars."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[0:side, 0:side] - side / 2) / (side * 0.36)
    radius2 = x**2 + y**2
    z = np.sqrt(np.clip(1 - radius2, 0, 1))
    land = noise(rng, side, side, 8, 3)
    surface = ramp(land, EARTH)
    clouds = np.clip(noise(rng, side, side, 8, 4) * 2.4 - 1.3, 0, 1)[..., None]
    surface = surface * (1 - clouds * 0.85) + 250 * clouds * 0.85
    light = np.clip(0.75 * x * -0.8 + 0.35 * -y + 0.62 * z, 0.02, 1)[..., None]
    stars = (rng.random((side, side)) > 0.9985) * rng.random((side, side)) * 255
    space = np.repeat(stars[..., None], 3, axis=2) + np.array([4, 5, 12])
    glow = np.clip(1.12 - np.sqrt(radius2), 0, 0.12)[..., None] * np.array([260, 480, 900])
    return np.where((radius2 <= 1)[..., None], surface * light, space + glow)


def save(picture: Array, file: Path, quality: int = 82) -> None:
    """Write a JPEG or a PNG of at most 128 colours."""
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    if file.suffix == ".png":
        image.quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)
    else:
        image.save(file, quality=quality, optimize=True, progressive=True)


def main(target: Path) -> None:
    """Draw them all."""
    save(ridges(7, 2160, 1440, DAY, 0.72), target / "01-mountains.jpg", 97)
    save(lake(21, 1280, 853), target / "02-lake-at-dusk.jpg")
    save(planet(5, 900), target / "03-planet.jpg")
    save(julia(-0.8 + 0.156j, 1000, 700, 2.6, FIRE), target / "04-fire.jpg", 85)
    save(julia(-0.4 + 0.6j, 480, 360, 2.4, ICE), target / "05-ice.png")
    rings = np.hypot(*(np.mgrid[0:256, 0:256] - 128.0)) / 128
    save(ramp((np.sin(rings * 24) + 1) / 2, ICE), target / "06-icon.png")
    save(ridges(11, 320, 213, DAY, 0.2), target / "07-preview.jpg", 75)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
