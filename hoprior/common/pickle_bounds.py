"""What a pickle would take, from its instructions alone: nothing is made of it before.

A pickle may name a part of itself again and again. A few hundred bytes then stand for more parts than there are atoms,
and whoever looks at all of them (to hash a key of a dictionary, to make an array) never ends; and a single number in
it says how long a table has to be. So its instructions are gone through with the size of what each would give.
"""

import pickletools
from pickle import UnpicklingError
from typing import Any

MOST_PARTS = 20_000_000
"""Of keys and of what is made by calls, each part as often as it is reached, all together."""
DEEPEST = 200
"""Of things within each other: hashing and deleting them goes as deep in C, which has no guard."""

_MARK = object()
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
_GATHERED = {"TUPLE", "LIST", "DICT", "FROZENSET"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CALLS = {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD", "BINPERSID"}


class _Size:
    """How many parts something has, counting those that are reached twice twice, and how deep they lie."""

    __slots__ = ("depth", "parts")

    def __init__(self, parts: int = 1, depth: int = 0) -> None:
        self.parts, self.depth = parts, depth

    def take(self, items: "list[_Size]") -> None:
        for item in items:
            self.parts += item.parts
            self.depth = max(self.depth, item.depth + 1)
        if self.depth > DEEPEST:
            raise UnpicklingError(f"its parts lie more than {DEEPEST} deep in each other")


class _Stack:
    """The unpickler's stack and memo, with sizes in place of what is made."""

    def __init__(self, most_memo: int) -> None:
        self.items: list[Any] = []
        self.memo: dict[int, _Size] = {}
        self.most_memo = most_memo
        self.spent = 0

    def spend(self, parts: int) -> None:
        self.spent += parts
        if self.spent > MOST_PARTS:
            raise UnpicklingError("its parts contain each other so often that it never ends")

    def pop(self) -> _Size:
        item = self.items.pop()
        if item is _MARK:
            raise UnpicklingError("its instructions do not fit each other")
        return item  # type: ignore[no-any-return]

    def pop_to_mark(self) -> list[_Size]:
        gathered = []
        while (item := self.items.pop()) is not _MARK:
            gathered.append(item)
        return gathered[::-1]

    def top(self) -> _Size:
        if self.items[-1] is _MARK:
            raise UnpicklingError("its instructions do not fit each other")
        return self.items[-1]  # type: ignore[no-any-return]

    def push(self, items: list[_Size]) -> None:
        size = _Size()
        size.take(items)
        self.items.append(size)

    def remember(self, place: int) -> None:
        if place > self.most_memo:
            raise UnpicklingError(f"it numbers one of its parts {place}")
        self.memo[place] = self.top()


def check_bounds(data: bytes) -> None:
    """Goes through a pickle's instructions.

    Raises:
        UnpicklingError: what it describes has too many parts, nests them too deeply, or is no pickle at all. Whatever
            else broken bytes make `pickletools` raise.

    Example:
        >>> import pickle
        >>> check_bounds(pickle.dumps({"betas": [0.0, 1.0]}))
        >>> key = ()
        >>> for _ in range(60):
        ...     key = (key, key)
        >>> opcodes = pickle.dumps([key])[:-1]  # a set of it would hash its parts for ever
        >>> try:
        ...     check_bounds(opcodes[:2] + b"c__builtin__\\nset\\n" + opcodes[2:] + b"\\x85R.")
        ... except UnpicklingError as error:
        ...     print(error)
        its parts contain each other so often that it never ends
    """
    stack = _Stack(len(data))
    for opcode, argument, _ in pickletools.genops(data):
        _step(stack, opcode, argument)


def _step(stack: _Stack, opcode: Any, argument: Any) -> None:
    name = opcode.name
    if name in _PUTS:
        stack.remember(int(argument))
    elif name == "MEMOIZE":
        stack.remember(len(stack.memo))
    elif name in _GETS:
        stack.items.append(stack.memo[int(argument)])
    elif name == "DUP":
        stack.items.append(stack.top())
    elif name == "MARK":
        stack.items.append(_MARK)
    elif name == "POP":
        stack.items.pop()
    elif name == "POP_MARK":
        stack.pop_to_mark()
    elif name in _TUPLES:
        stack.push([stack.pop() for _ in range(_TUPLES[name])])
    elif name in _GATHERED:
        gathered = stack.pop_to_mark()
        if name in ("DICT", "FROZENSET"):
            stack.spend(sum(item.parts for item in gathered))
        stack.push(gathered)
    elif name in ("APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS"):
        many = name.endswith("S")
        gathered = stack.pop_to_mark() if many else [stack.pop() for _ in range(1 + (name == "SETITEM"))][::-1]
        if name != "APPEND" and name != "APPENDS":
            keys = gathered[::2] if name.startswith("SET") else gathered
            stack.spend(sum(key.parts for key in keys))
        stack.top().take(gathered)
    elif name in _CALLS:
        arguments = [stack.pop() for _ in opcode.stack_before]
        if name != "BUILD":
            stack.spend(sum(item.parts for item in arguments))
        # The state of something is part of it, whoever else holds it already.
        if name == "BUILD":
            arguments[1].take(arguments[:1])
            stack.items.append(arguments[1])
        else:
            stack.push(arguments)
    elif name in ("INST", "OBJ"):
        gathered = stack.pop_to_mark()
        stack.spend(sum(item.parts for item in gathered))
        stack.push(gathered)
    elif name == "STACK_GLOBAL":
        stack.pop(), stack.pop()
        stack.items.append(_Size())
    elif name == "STOP":
        stack.pop()
    elif not opcode.stack_before:
        stack.items.extend(_Size() for _ in opcode.stack_after)
