"""Pictures for what has none: a banner for every event, a portrait for every person.

SVG, and always the same for the same number.
"""

import random
from collections.abc import Iterator
from math import cos, pi, sin

_WIDTH, _HEIGHT = 960, 300


def _svg(width: int, height: int, content: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{content}</svg>'


def _gradient(hue: int, turn: int) -> str:
    return (
        f'<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop stop-color="hsl({hue} 48% 24%)"/>'
        f'<stop offset="1" stop-color="hsl({(hue + turn) % 360} 56% 42%)"/></linearGradient></defs>'
    )


def _network(chance: random.Random, light: str) -> Iterator[str]:
    points = [(chance.randint(-20, _WIDTH + 20), chance.randint(-20, _HEIGHT + 20)) for _ in range(64)]
    for i, (x, y) in enumerate(points):
        for u, v in points[i + 1 :]:
            if (distance := ((x - u) ** 2 + (y - v) ** 2) ** 0.5) < 120:
                opacity = 0.5 - distance / 300
                yield f'<path d="M{x} {y}L{u} {v}" stroke="{light}" stroke-opacity="{opacity:.2f}"/>'
        radius = chance.choice((2, 3, 3, 5, 8))
        yield f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{light}" fill-opacity=".75"/>'


def _waves(chance: random.Random, light: str) -> Iterator[str]:
    for layer in range(9):
        y = 40 + layer * 30
        size, length, shift = chance.randint(14, 44), chance.randint(260, 520), chance.random() * 2 * pi
        heights = ((x, y + size * sin(x / length * 2 * pi + shift)) for x in range(0, _WIDTH + 1, 24))
        line = " ".join(f"{x},{height:.0f}" for x, height in heights)
        yield f'<polygon points="0,{_HEIGHT} {line} {_WIDTH},{_HEIGHT}" fill="{light}" fill-opacity=".07"/>'
        yield f'<polyline points="{line}" fill="none" stroke="{light}" stroke-opacity=".3"/>'


def _rings(chance: random.Random, light: str) -> Iterator[str]:
    for _ in range(5):
        x, y, step = chance.randint(0, _WIDTH), chance.randint(0, _HEIGHT), chance.randint(12, 26)
        for ring in range(1, chance.randint(5, 10)):
            yield (
                f'<circle cx="{x}" cy="{y}" r="{ring * step}" fill="none" stroke="{light}" '
                f'stroke-opacity="{0.5 - ring * 0.045:.2f}" stroke-width="{chance.choice((1, 1, 2, 4))}"/>'
            )


def _tiles(chance: random.Random, light: str) -> Iterator[str]:
    side = 60
    for x in range(0, _WIDTH, side):
        for y in range(0, _HEIGHT, side):
            corner = chance.choice((f"M{x} {y}h{side}v{side}z", f"M{x} {y}v{side}h{side}z"))
            shape = chance.choice((corner, corner, f"M{x} {y}h{side}a{side} {side} 0 0 1 -{side} {side}z"))
            opacity = chance.choice((0, 0.05, 0.1, 0.16, 0.28))
            yield f'<path d="{shape}" fill="{light}" fill-opacity="{opacity}"/>'


def _rays(chance: random.Random, light: str) -> Iterator[str]:
    x, y = chance.randint(200, 760), chance.randint(240, 420)
    count = chance.randint(22, 40)
    for number in range(count):
        angle, width = 2 * pi * number / count, pi / count * chance.choice((0.4, 0.7, 1))
        a, b = ((x + 1200 * cos(t), y + 1200 * sin(t)) for t in (angle - width / 2, angle + width / 2))
        opacity = chance.choice((0.04, 0.08, 0.14, 0.2))
        ray = f"M{x} {y}L{a[0]:.0f} {a[1]:.0f}L{b[0]:.0f} {b[1]:.0f}z"
        yield f'<path d="{ray}" fill="{light}" fill-opacity="{opacity}"/>'


_PATTERNS = (_network, _waves, _rings, _tiles, _rays)


def banner(number: int, hue: int) -> str:
    """A wide picture in shades of a hue (degrees)."""
    chance = random.Random(f"banner {number}")
    turn = chance.choice((-40, -25, 25, 40, 60))
    pattern = "".join(chance.choice(_PATTERNS)(chance, f"hsl({(hue + turn) % 360} 90% 88%)"))
    ground = f'{_gradient(hue, turn)}<rect width="100%" height="100%" fill="url(#g)"/>'
    return _svg(_WIDTH, _HEIGHT, ground + pattern)


_GLASSES = (
    '<g fill="none" stroke="#222" stroke-width="2.5"><circle cx="69" cy="77" r="9"/>'
    '<circle cx="91" cy="77" r="9"/><path d="M78 76h4"/></g>'
)
_FACE = (
    '<g fill="#222"><circle cx="69" cy="77" r="2.6"/><circle cx="91" cy="77" r="2.6"/></g>'
    '<path d="M71 93q9 7 18 0" fill="none" stroke="#222" stroke-opacity=".6" stroke-width="2.4" '
    'stroke-linecap="round"/>'
)


def portrait(number: int, hue: int, initials: str) -> str:
    """A square with somebody's outline, and their initials (letters only; they are not escaped)."""
    chance = random.Random(f"portrait {number}")
    skin = chance.choice(("#f3d3bd", "#e8b998", "#c98d66", "#a56a43", "#7a4a2e", "#5a3825"))
    hair = chance.choice(("#2b211d", "#4a3024", "#6d4a2f", "#b98a4e", "#8d8d90", "#1c1c22", "#a4502a"))
    shirt = f"hsl({(hue + 150) % 360} 35% {chance.randint(32, 62)}%)"
    top, cut = chance.randint(34, 40), chance.choice(("short", "long", "bun", "bald"))
    parts = [_gradient(hue, 50), '<rect width="160" height="160" fill="url(#g)"/>']
    if cut == "long":
        parts.append(f'<rect x="44" y="{top}" width="72" height="84" rx="34" fill="{hair}"/>')
    if cut == "bun":
        parts.append(f'<circle cx="80" cy="{top - 8}" r="15" fill="{hair}"/>')
    parts.append(f'<path d="M20 160c0-34 24-48 60-48s60 14 60 48z" fill="{shirt}"/>')
    parts.append(f'<rect x="69" y="92" width="22" height="30" rx="11" fill="{skin}"/>')
    parts.append(f'<ellipse cx="80" cy="76" rx="29" ry="34" fill="{skin}"/>')
    if cut != "bald":
        side = chance.randint(58, 72)
        crown = f"M50 {side}C48 {top} 64 {top - 4} 80 {top - 4}S112 {top} 110 {side}"
        outline = f"{crown}C104 54 92 52 80 53S56 54 50 {side}z"
        parts.append(f'<path d="{outline}" fill="{hair}"/>')
    if chance.random() < 0.35:
        parts.append(_GLASSES)
    parts.append(_FACE)
    if initials.isalpha():
        parts.append(
            '<text x="148" y="150" text-anchor="end" font-family="Georgia,serif" font-size="22" fill="#fff" '
            f'fill-opacity=".85">{initials}</text>'
        )
    return _svg(160, 160, "".join(parts))
