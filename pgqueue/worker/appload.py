"""Finding an App by its name, "package.module:attribute"."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from pgqueue.errors import InvalidArgument
from pgqueue.registry import App

__all__ = ["load_app"]


def load_app(path: str) -> App:
    """The App at "module:attribute"; modules of the current folder can be named. Raises InvalidArgument.

    What the module itself raises while it is imported is raised as it is: its traceback is what one needs.
    """
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise InvalidArgument(f"{path!r} does not name an app", "give MODULE:APP, for example shop.jobs:app")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise InvalidArgument(
            f"there is no module {error.name!r}", f"it was looked for in {here} and where Python looks"
        ) from error
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise InvalidArgument(
                f"module {module_name!r} has no {attribute!r}", "name the variable that holds the App"
            ) from None
    if not isinstance(found, App):
        raise InvalidArgument(
            f"{path} is of type {type(found).__name__}, not an App", "name the variable that holds the App"
        )
    return found
