"""What stands below the fields of a model in its source, for references and editors; specs never need it."""

import ast
import inspect
import textwrap
from itertools import pairwise

from pydantic import BaseModel


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Name of a field -> the text below it, on one line; a subclass's text before its bases'.

    Empty for a class whose source is not at hand.
    """
    found: dict[str, str] = {}
    for one in model.__mro__:
        if issubclass(one, BaseModel) and one is not BaseModel:
            found = _own_docs(one) | found
    return {name: text for name, text in found.items() if name in model.model_fields}


def _own_docs(model: type[BaseModel]) -> dict[str, str]:
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
