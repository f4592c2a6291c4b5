"""YAML as people write it by hand: plain values only, every entry with its line, nothing ambiguous let through."""

from __future__ import annotations

from typing import Any, Final

import yaml

Path = tuple[str | int, ...]
"""Where an entry stands in a document: names and positions, outermost first."""

_MAX_DEPTH: Final = 16
_PREFIX: Final = "tag:yaml.org,2002:"
_TAGS: Final = {f"{_PREFIX}{name}" for name in ("str", "int", "bool", "null", "seq", "map")}


class YamlTextError(ValueError):
    """A text can't be used as YAML.

    :ivar line: where, from 1
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class _Composer(yaml.SafeLoader):
    """Composes a tree no larger than its text: no aliases, bounded depth."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _error(event, "aliases are not supported; write the value out")
        if self.depth == _MAX_DEPTH:
            raise _error(event, "is nested too deeply")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _error(where: yaml.Node | yaml.Event, message: str) -> YamlTextError:
    return YamlTextError(message, _line(where))


def _line(where: yaml.Node | yaml.Event) -> int:
    return int(where.start_mark.line) + 1 if where.start_mark else 1


def read_yaml(text: str) -> tuple[Any, dict[Path, int]]:
    """Return a document of mappings, lists, text, whole numbers, booleans and null, and the line of every entry.

    :param text: one document; the caller bounds its size
    :return: the document, ``None`` for an empty one, and lines from 1
    :raises YamlTextError: for what is no YAML, a name set twice, tags, aliases and other types
    """
    lines: dict[Path, int] = {}
    try:
        # The reader looks at the characters when it is made.
        node = _Composer(text).get_single_node()
        document = _plain(node, (), lines) if node else None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise YamlTextError("has a character that YAML doesn't allow", line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ": ".join(part for part in (error.context, error.problem) if part)
        raise YamlTextError(message, mark.line + 1 if mark else 1) from None
    lines.setdefault((), 1)
    return document, lines


def _plain(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, _line(node))
    if node.tag not in _TAGS:
        kind = node.tag.removeprefix(_PREFIX)
        raise _error(node, f"the type {kind!r} has no place here; text that looks like it needs quotes")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, place), lines) for place, item in enumerate(node.value)]
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError, KeyError):
        raise _error(node, f"{node.value!r} is not of the type {node.tag.removeprefix(_PREFIX)!r}") from None


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, entry = key_node.value, (*path, str(key_node.value))
        if key_node.tag != f"{_PREFIX}str" or not isinstance(key, str):
            raise _error(key_node, "a name must be text; put it in quotes")
        if key in values:
            raise _error(key_node, f"{key!r} is set again; it was set in line {lines[entry]}")
        lines[entry] = _line(key_node)
        values[key] = _plain(value_node, entry, lines)
    return values
