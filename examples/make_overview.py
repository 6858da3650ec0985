"""Makes the README's picture, ``docs/overview.jpg``: pairs from ``examples/data`` and what gifnet makes of them.

python examples/make_overview.py
"""

from pathlib import Path

from PIL import Image

import gifnet

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, GAP = 300, 6  # pixels

rows = []
for name in ("focus", "exposure"):
    a, b = (ROOT / "examples" / "data" / f"{name}_{letter}.jpg" for letter in "ab")
    images = [Image.open(a), Image.open(b), gifnet.fuse(a, b)]
    rows.append([image.resize((450, HEIGHT), Image.Resampling.LANCZOS) for image in images])
sheet = Image.new("RGB", (3 * 450 + 2 * GAP, len(rows) * (HEIGHT + GAP) - GAP), "white")
for i, row in enumerate(rows):
    for j, image in enumerate(row):
        sheet.paste(image, (j * (450 + GAP), i * (HEIGHT + GAP)))
sheet.save(ROOT / "docs" / "overview.jpg", quality=90)
