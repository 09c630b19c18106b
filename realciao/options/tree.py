"""YAML as a tree in which every value knows where it was written, also after files and overrides have been merged."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from realciao.errors import OptionError, did_you_mean

Key = str | int
"""One step of a path: a mapping's key or a list's index."""


@dataclass(frozen=True)
class Node:
    """A value of an option file."""

    value: Any
    """dict[str, Node], list[Node], or what YAML makes of a scalar."""
    path: str
    """Dotted path as the user wrote it, "" for the whole file."""
    place: str
    """FILE:LINE, or the override that set it."""

    def error(self, problem: str, *below: Key) -> OptionError:
        """The error to raise about this value, or about what should be `below` it."""
        return OptionError(_join(self.path, *below), problem, self.place)

    def plain(self) -> Any:
        """The value as Python's own dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        return [child.plain() for child in self.value] if isinstance(self.value, list) else self.value

    def deepest(self, path: Sequence[Key]) -> tuple["Node", Sequence[Key]]:
        """The last value that exists along `path`, and the rest of the path."""
        if path:
            if isinstance(self.value, dict) and path[0] in self.value:
                return self.value[path[0]].deepest(path[1:])
            if isinstance(self.value, list) and str(path[0]).isdecimal() and int(path[0]) < len(self.value):
                return self.value[int(path[0])].deepest(path[1:])
        return self, path

    def edit(self, key: str, change: Callable[["Node"], "Node"]) -> "Node":
        """A copy with the value of `key` changed; the same node where it is no mapping or lacks the key."""
        if not isinstance(self.value, dict) or key not in self.value:
            return self
        return replace(self, value={**self.value, key: change(self.value[key])})

    def edit_items(self, change: Callable[["Node"], "Node"]) -> "Node":
        """A copy with each item of the list changed; the same node where it is no list."""
        if not isinstance(self.value, list):
            return self
        return replace(self, value=[change(item) for item in self.value])


def merge(base: Node, over: Node, lasting: frozenset[str] = frozenset()) -> Node:
    """`over` laid on `base`: mappings merge key by key, anything else is replaced.

    A spec whose `type` changes is replaced whole, since the keys of one type mean nothing to another.

    Args:
        base: the defaults.
        over: what wins.
        lasting: keys that survive a change of type.
    """
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    if "type" in merged and "type" in over.value and merged["type"].value != over.value["type"].value:
        merged = {key: child for key, child in merged.items() if key in lasting}
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child, lasting) if key in merged else child
    return replace(over, value=merged)


def override(tree: Node, setting: str, lasting: frozenset[str] = frozenset()) -> Node:
    """The tree after a `--set` of the form "stages.0.total_iter=20"; the value is YAML.

    Raises:
        OptionError: no "=", a value that is not YAML, or a path through something that is neither mapping nor list.
    """
    place = f"--set {setting}"
    path, equals, text = setting.partition("=")
    path = path.strip()
    if not equals or not all(path.split(".")):
        raise OptionError("", "expected KEY.PATH=VALUE, e.g. stages.0.total_iter=20", place)
    return _assign(tree, path.split("."), _parse(text, path, lambda line: place), lasting)


def _assign(node: Node, keys: Sequence[str], value: Node, lasting: frozenset[str]) -> Node:
    """`node` with `value` laid on what is at `keys` below it; missing mappings are made on the way."""
    if not keys:
        return merge(node, value, lasting)
    key, rest = keys[0], keys[1:]
    if isinstance(node.value, list):
        if not key.isdecimal() or int(key) >= len(node.value):
            raise replace(node, place=value.place).error(f"has {len(node.value)} items, numbered from 0; no '{key}'")
        items = list(node.value)
        items[int(key)] = _assign(items[int(key)], rest, value, lasting)
        return replace(node, value=items)
    if not isinstance(node.value, dict | None):
        raise replace(node, place=value.place).error(f"is {node.value!r} and has no key '{key}'")
    child = (node.value or {}).get(key, Node(None, _join(node.path, key), value.place))
    # the mapping itself stays where it was written: --set is to blame for this one key only
    changed = replace(node, value={key: _assign(child, rest, value, lasting)})
    return merge(replace(node, value=node.value or {}), changed, lasting)


def read_tree(file: str | PathLike[str]) -> Node:
    """Reads one option file.

    Raises:
        OptionError: the file cannot be read, is empty, not UTF-8, not plain YAML, or no mapping; a key given twice.
    """
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        folder = Path(file).parent
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        raise OptionError("", f"no such file{did_you_mean(Path(file).name, names)}", str(file)) from error
    except OSError as error:
        raise OptionError("", f"cannot be read: {(error.strerror or str(error)).lower()}", str(file)) from error
    except UnicodeDecodeError as error:
        raise OptionError("", f"is not UTF-8 text (byte {error.start})", str(file)) from error
    tree = _parse(text, "", lambda line: f"{file}:{line}")
    if tree.value is None:
        raise OptionError("", "is empty", str(file))
    if not isinstance(tree.value, dict):
        raise tree.error("expected a mapping of options")
    return tree


def read_layers(file: str | PathLike[str], lasting: frozenset[str] = frozenset(), above: tuple[Path, ...] = ()) -> Node:
    """Reads an option file over the one that its key `base` names, if it has one: a path as seen from the file's folder.

    Args:
        file: the option file.
        lasting: see `merge`.
        above: the files that led here.

    Raises:
        OptionError: see `read_tree`; a base that is no file name, that cannot be read, or that leads back to its own file.
    """
    tree = read_tree(file)
    base = tree.value.get("base")
    if base is None:
        return tree
    if not isinstance(base.value, str):
        raise base.error(f"expected the name of an option file, got {base.value!r}")
    chain = (*above, Path(file).resolve())
    path = Path(file).parent / base.value
    if path.resolve() in chain:
        raise base.error(f"'{base.value}' leads back to itself")
    own = replace(tree, value={key: child for key, child in tree.value.items() if key != "base"})
    return merge(read_layers(path, lasting, chain), own, lasting)


def _join(*path: Key) -> str:
    return ".".join(str(part) for part in path if part != "")


class OptionLoader(yaml.SafeLoader):
    """PyYAML's safe loader, reading 1e-4 as the number it is."""


class OptionDumper(yaml.SafeDumper):
    """PyYAML's safe dumper, quoting the strings that OptionLoader would read as numbers."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: OptionDumper, text: str) -> yaml.ScalarNode:
    # PyYAML loses what YAML 1.1 counts as a line break (\x85, \u2028) unless it is quoted and escaped
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


OptionDumper.add_representer(str, _represent_text)

for _yaml in (OptionLoader, OptionDumper):
    # PyYAML follows YAML 1.1, where an exponent counts only after a dot and with a sign
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$"), list("-+0123456789")
    )


def _parse(text: str, path: str, place: Callable[[int], str]) -> Node:
    """The tree of a YAML text whose line i was written at `place(i)`, i from 1; an empty text is a null."""
    try:
        loader = OptionLoader(text)
        root = loader.get_single_node()
        return Node(None, path, place(1)) if root is None else _Reader(loader, place).node(root, path)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise OptionError("", f"not valid YAML: {error.reason} (#x{error.character:02x})", place(line)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        problem = " ".join(f"{error.problem}".split())
        raise OptionError("", f"not valid YAML: {problem}", place(line + 1)) from error
    except RecursionError as error:
        raise OptionError("", "nested too deeply (an alias inside its own anchor?)", place(1)) from error


class _Reader:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, loader: OptionLoader, place: Callable[[int], str]) -> None:
        self.loader = loader
        self.place = place

    def node(self, node: yaml.Node, path: str, key: yaml.Node | None = None) -> Node:
        """`key` is the node of the value's key, whose line is the one to name."""
        place = self.at(key or node)
        if isinstance(node, yaml.MappingNode) and node.tag == OptionLoader.DEFAULT_MAPPING_TAG:
            return Node(self.children(node, path), path, place)
        if isinstance(node, yaml.SequenceNode) and node.tag == OptionLoader.DEFAULT_SEQUENCE_TAG:
            return Node([self.node(item, _join(path, i)) for i, item in enumerate(node.value)], path, place)
        return Node(self.scalar(node, path), path, place)

    def children(self, node: yaml.MappingNode, path: str) -> dict[str, Node]:
        own: dict[str, Node] = {}
        inherited: dict[str, Node] = {}
        for key_node, value in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                inherited |= self.merged_in(value, path)
                continue
            key = self.scalar(key_node, path)
            if not isinstance(key, str):
                raise OptionError(
                    path, f"expected a word as key, got {key!r}; quote it if it is one", self.at(key_node)
                )
            if key in own:
                raise OptionError(_join(path, key), f"given twice, first at {own[key].place}", self.at(key_node))
            own[key] = self.node(value, _join(path, key), key_node)
        return inherited | own

    def merged_in(self, node: yaml.Node, path: str) -> dict[str, Node]:
        """The keys that `<<: *anchor` or `<<: [*first, *second]` brings; the first wins."""
        keys: dict[str, Node] = {}
        for source in reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode):
                raise OptionError(path, "<< takes a mapping, usually an alias such as *base", self.at(source))
            keys |= self.children(source, path)
        return keys

    def scalar(self, node: yaml.Node, path: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise OptionError(path, f"{node.tag} does not belong here: options are plain YAML", self.at(node))
        try:
            value = self.loader.construct_object(node)
        except (ValueError, KeyError, AttributeError) as error:  # PyYAML lets these through: 2024-13-45, !!bool maybe
            kind = node.tag.rpartition(":")[2]
            raise OptionError(path, f"'{node.value}' is not a valid {kind}", self.at(node)) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise OptionError(path, f"expected a finite number, got {value}", self.at(node))
        return value

    def at(self, node: yaml.Node) -> str:
        return self.place(node.start_mark.line + 1)
