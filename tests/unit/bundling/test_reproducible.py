"""Bytecode depends on its source and on nothing else."""

import sys
from pathlib import Path

import pytest

from bundling.errors import BundleError
from bundling.reproducible import compile_sources

SOURCE = "class A:\n    def f(self, b):\n        class C(b):\n            pass\n        return C\n"


def compiled(root: Path) -> bytes:
    """The bytecode of the source, compiled anew."""
    root.mkdir()
    (root / "module.py").write_text(SOURCE, encoding="utf-8")
    compile_sources(root, root=root, shown_as="/var/task")
    (bytecode,) = root.rglob("*.pyc")
    return bytecode.read_bytes()


def test_when_the_builder_has_a_module_loaded_then_its_bytecode_is_the_same(
    tmp_path: Path,
) -> None:
    """Bytecode marks the texts that its builder uses elsewhere too."""
    first = compiled(tmp_path / "first")
    loaded = sys.intern(b"A.f.<locals>.C".decode())
    second = compiled(tmp_path / "second")

    assert first == second
    assert loaded


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
