"""What may be asked of a program of ours: verbs, each with a schema and callers.

A verb is an annotated function. Its signature is the schema: parameters, or one model that is the
whole body; anything else in a request is refused. `by` names who may call it. An error has a type
that crosses the wire (core/errors.py): the other end raises what was raised here.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from shoestring.core.errors import BusyError, RefusedError, ShoestringError, UsageError

LOG = logging.getLogger("shoestring")
NAME = "__verb__"
Answer = Mapping[str, object]
Work = Callable[..., Awaitable[Answer]]
F = TypeVar("F", bound=Callable[..., Any])


class Caller(StrEnum):
    """Who asks."""

    ROOT = "root"
    PEER = "peer"
    USER = "the repository's user"


ROOT, PEER, USER = Caller.ROOT, Caller.PEER, Caller.USER


@dataclass(frozen=True, slots=True)
class _Mark:
    name: str
    by: frozenset[Caller]


def verb(name: str, *, by: tuple[Caller, ...]) -> Callable[[F], F]:
    """Make a method a verb."""

    def mark(function: F) -> F:
        setattr(function, NAME, _Mark(name, frozenset(by)))
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its callers, and what a request of it must be.

    whole: the name of the parameter that takes the whole body as a model, "" where parameters are
    the body's keys.
    """

    name: str
    by: frozenset[Caller]
    work: Work
    schema: type[BaseModel]
    whole: str
    about: str


class Verbs:
    """The verbs of a program."""

    def __init__(self, *owners: object) -> None:
        self._verbs: dict[str, Verb] = {}
        for owner in owners:
            for _, method in inspect.getmembers(owner, inspect.ismethod):
                mark = getattr(method, NAME, None)
                if mark is not None:
                    self.add(mark.name, method, mark.by)

    def add(self, name: str, work: Work, by: frozenset[Caller]) -> None:
        """Add a verb; raises ValueError for a second one of a name."""
        if name in self._verbs:
            raise ValueError(f"two verbs {name!r}")
        schema, whole = _schema(name, work)
        about = (inspect.getdoc(_plain(work)) or "").partition("\n")[0]
        self._verbs[name] = Verb(name, by, work, schema, whole, about)

    def adopt(self, others: Verbs) -> None:
        """Add another part's verbs."""
        for each in others:
            self.add(each.name, each.work, each.by)

    def __iter__(self) -> Iterator[Verb]:
        """Yield them by name."""
        return iter(sorted(self._verbs.values(), key=lambda each: each.name))

    async def call(self, name: str, body: object, caller: Caller) -> Answer:
        """Have a verb done; raises ShoestringError whatever goes wrong."""
        found = self._verbs.get(name)
        if found is None:
            raise UsageError(f"unknown verb {name!r}")
        if caller not in found.by:
            allowed = " or ".join(sorted(found.by))
            raise RefusedError(f"{name!r} is for {allowed}, not for {caller}")
        try:
            model = found.schema.model_validate(body)
        except ValidationError as error:
            raise _unfit(error) from error
        given: dict[str, object] = {found.whole: model} if found.whole else _parts(model)
        try:
            return await found.work(**given)
        except ShoestringError:
            raise
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise RefusedError(f"{error.strerror or error}{where}") from error
        except OverflowError as error:
            raise BusyError(str(error)) from error
        except Exception as error:
            LOG.exception("verb %s", name)
            raise RefusedError(f"{name} failed: {type(error).__name__}") from error


def _plain(work: Work) -> Work:
    return work.func if isinstance(work, partial) else work


def _parts(model: BaseModel) -> dict[str, object]:
    given = {name: getattr(model, name) for name in type(model).model_fields}
    return {**given, **(model.model_extra or {})}


def _unfit(error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return UsageError(f"{path or 'the request'}: {first['msg']}")


def _schema(name: str, work: Work) -> tuple[type[BaseModel], str]:
    hints = get_type_hints(_plain(work), include_extras=True)
    parameters = inspect.signature(work).parameters
    for parameter in parameters.values():
        hint = hints.get(parameter.name)
        if hint is None:
            raise TypeError(f"{name}: {parameter.name} has no type")
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            if len(parameters) > 1:
                raise TypeError(f"{name}: a model is the whole body")
            return hint, parameter.name
    open_end = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is p.empty else p.default)
        for p in parameters.values()
        if p.kind is not p.VAR_KEYWORD
    }
    config = ConfigDict(extra="allow" if open_end else "forbid", strict=True)
    return create_model(name, __config__=config, **fields), ""
