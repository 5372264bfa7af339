"""Bytecode depends on its source and on nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from bundling.errors import BundleError
from bundling.reproducible import compile_sources

CHECKOUT = Path(__file__).parents[3]
# Up to Python 3.13.0 a class lists the attributes that it sets in the order of a set of texts.
SOURCE = "class A:\n    def __init__(self):\n" + "".join(
    f"        self.attribute_{number} = {number}\n" for number in range(20)
)
BUILD = """
import subprocess
import sys
from pathlib import Path
from bundling.reproducible import compile_sources
root = Path(sys.argv[1])
compile_sources(root, root=root, shown_as="/var/task")
"""


def compiled(root: Path, seed: str) -> bytes:
    """The bytecode of the source, compiled by a builder with these hashes."""
    root.mkdir()
    (root / "module.py").write_text(SOURCE, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-c", BUILD, root],
        cwd=CHECKOUT,
        env={"PYTHONHASHSEED": seed},
        check=True,
    )
    (bytecode,) = root.rglob("*.pyc")
    return bytecode.read_bytes()


def test_when_the_builders_hashes_differ_then_the_bytecode_is_the_same(tmp_path: Path) -> None:
    """Every process of Python has hashes of its own, unless it is told which."""
    built = [compiled(tmp_path / seed, seed) for seed in ("1", "2", "3")]

    assert 1 == len(set(built))


def test_when_a_package_needs_no_bytecode_then_only_the_others_get_some(tmp_path: Path) -> None:
    """By its name in the top folder; one further down is another one."""
    for name in ("kept/one.py", "left/two.py", "kept/left/three.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")

    compile_sources(tmp_path, root=tmp_path, shown_as="/var/task", uncompiled=["left", "none"])

    assert {"one", "three"} == {each.name.split(".")[0] for each in tmp_path.rglob("*.pyc")}


def test_when_a_source_is_no_python_then_the_error_names_it(tmp_path: Path) -> None:
    """With the folder of the deployable that it is in."""
    (tmp_path / "broken.py").write_text("def", encoding="utf-8")

    with pytest.raises(BundleError, match=r"no valid Python 3\.13: .*broken\.py"):
        compile_sources(tmp_path, root=tmp_path, shown_as="/var/task")
