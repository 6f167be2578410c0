"""The developer's tools beside the revisions, as modules: the folder alembic/ is not a package, so that it does not
shadow Alembic.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load(name: str, root: Path = ROOT) -> ModuleType:
    """The module alembic/<name>.py of this repository, or of a copy."""
    spec = importlib.util.spec_from_file_location(f"pgqueue_tool_{name}", root / "alembic" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


catalogue = load("catalogue")
