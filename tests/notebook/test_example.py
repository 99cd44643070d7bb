"""The notebook in `examples/` runs from its first cell to its last, and comes without answers.

Its code cells are run in their order by a plain Python: a kernel would need 27 more packages and show no more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "examples" / "older_calls.ipynb"
CELLS = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]

# What stands behind the last cell, so that it sees what the cells made.
_CHECKS = """
assert list(exif_map["n_pics"]) == [2, 2, 1]
assert (exif_map["long"] < 0).tolist() == [False, True, False]
assert (exif_map["lat"] < 0).tolist() == [False, False, True]
assert sorted(os.listdir("by_place"))[0] == "1_barcelona_1.jpg" and len(os.listdir("by_place")) == 5
refs = {
    name: tuple(Image.open(f"placed/{name}").getexif().get_ifd(0x8825).get(t) for t in (1, 3))
    for name in os.listdir("placed")
}
assert refs == {
    "WhatsApp Image 2023-04-08 at 12.07.00.jpeg": ("N", "E"),
    "WhatsApp Image 2023-04-20 at 09.05.00.jpeg": ("N", "W"),
    "IMG-20230502-WA0001.jpg": (None, None),
    "holiday.jpg": ("S", "E"),
}, refs
assert [s[0] for s in similar] == ["whatsapp/WhatsApp Image 2023-04-08 at 12.07.00.jpeg"]
assert dict(zip(table["filepath"], table["similar_images"]))["camera_roll/san_jose_2.jpg"] == [
    "whatsapp/WhatsApp Image 2023-04-20 at 09.05.00.jpeg"
]
"""


def test_the_notebook_runs_headless(tmp_path):
    script = tmp_path / "cells.py"
    script.write_text("\n".join([*CODE, _CHECKS]), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WhatsApp Image 2023-04-08 at 12.07.00.jpeg -> 2023-04-08 12:07:00" in done.stdout


def test_the_notebook_has_no_answers_in_it():
    assert all(cell.get("outputs", []) == [] and cell.get("execution_count") is None for cell in CELLS)


def test_the_notebook_uses_every_call():
    said = "\n".join(CODE)
    calls = (
        "create_exif_map map_images get_filename_from_path list_pic_files_in_folder extract_datetime_from_title "
        "clone_and_save_with_exif process_images_with_exif get_embedding save_embeddings embeddings_df "
        "find_similar_embeddings update_similar_images"
    )
    assert [call for call in calls.split() if call not in said] == []
