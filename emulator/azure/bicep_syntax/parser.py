"""Reads the part of Bicep that our modules are written in, and refuses the rest of it.

Parameters, variables, resources and outputs of one resource group, with the expressions of Bicep's
specification, the order of its operators included. Not read: `module`, `import`, `extension`,
`type`, `func`, `assert`, nested resources, spread (`...`), loops with a condition, strings on
several lines. What an expression is worth is the part of `emulator.azure.bicep`.
"""

from collections import Counter
from typing import Final

from emulator.azure.bicep_syntax.tokens import DEEPEST, Token, read_tokens
from emulator.azure.bicep_syntax.tree import (
    ArrayLiteral,
    BicepError,
    Binary,
    Call,
    Conditional,
    Expression,
    Index,
    Lambda,
    Literal,
    Loop,
    Member,
    Module,
    Name,
    ObjectLiteral,
    Output,
    Parameter,
    ResourceDeclaration,
    Text,
    Unary,
    Variable,
)

# From loose to tight, as Bicep binds them.
_BINDS: Final = {
    operator: level
    for level, operators in enumerate(
        (
            ("??",),
            ("||",),
            ("&&",),
            ("==", "!=", "=~", "!~"),
            ("<", "<=", ">", ">="),
            ("+", "-"),
            ("*", "/", "%"),
        )
    )
    for operator in operators
}
_WORDS: Final = {"true": True, "false": False, "null": None}
_OUTSIDE: Final = {"module", "import", "extension", "type", "func", "assert", "using", "provider"}


class _Parser:
    def __init__(self, tokens: tuple[Token, ...], file: str, depth: int = 0) -> None:
        self._tokens = tokens
        self._file = file
        self._at = 0
        self._depth = depth

    # --- tokens -----------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def error(self, message: str) -> BicepError:
        return BicepError(f"{self._file}, line {self._next.line}: {message}")

    def _is(self, *texts: str) -> bool:
        return self._next.kind in {"sign", "name"} and self._next.text in texts

    def _take(self, *texts: str) -> bool:
        if self._is(*texts):
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self.error(f"expected {text!r}, not {self._next.text or self._next.kind!r}")

    def _identifier(self) -> str:
        token = self._next
        if token.kind != "name":
            raise self.error(f"expected a name, not {token.text or token.kind!r}")
        self._at += 1
        return token.text

    def _skip_lines(self) -> None:
        while self._next.kind == "newline":
            self._at += 1

    def _end_line(self) -> None:
        if self._next.kind != "newline":
            raise self.error(f"expected the end of the line, not {self._next.text!r}")

    # --- statements -------------------------------------------------------------------------

    def module(self) -> Module:
        module = Module({}, {}, {}, {})
        self._skip_lines()
        while self._next.kind != "end":
            decorators = self._decorators()
            keyword = self._identifier()
            match keyword:
                case "param":
                    _add(self, module.parameters, self._parameter(decorators))
                case "var":
                    name = self._identifier()
                    self._expect("=")
                    _add(self, module.variables, Variable(name, self.expression()))
                case "resource":
                    _add(self, module.resources, self._resource())
                case "output":
                    _add(self, module.outputs, self._output(decorators))
                case "targetScope":
                    self._expect("=")
                    if self.expression() != Literal("resourceGroup"):
                        raise self.error("only resource groups are deployed to")
                case "metadata":
                    self._identifier()
                    self._expect("=")
                    self.expression()
                case _:
                    known = "is not read" if keyword in _OUTSIDE else "begins no statement"
                    raise self.error(f"{keyword!r} {known}")
            self._end_line()
            self._skip_lines()
        symbols = [*module.parameters, *module.variables, *module.resources]
        if twice := sorted({name for name, count in Counter(symbols).items() if count > 1}):
            raise BicepError(f"{self._file}: {twice[0]!r} is declared twice")
        return module

    def _decorators(self) -> dict[str, Expression]:
        decorators: dict[str, Expression] = {}
        while self._take("@"):
            name = self._identifier()
            self._expect("(")
            decorators[name] = Literal(None) if self._is(")") else self.expression()
            self._expect(")")
            self._skip_lines()
        return decorators

    def _parameter(self, decorators: dict[str, Expression]) -> Parameter:
        name, type_ = self._identifier(), self._type()
        is_nullable = self._take("?")
        default = self.expression() if self._take("=") else None
        return Parameter(name, type_, is_nullable, default, decorators)

    def _type(self) -> str:
        name = self._identifier()
        if name not in {"string", "int", "bool", "object", "array"}:
            raise self.error(f"the type {name!r} is not read")
        return name

    def _output(self, decorators: dict[str, Expression]) -> Output:
        name, type_ = self._identifier(), self._type()
        self._expect("=")
        return Output(name, type_, self.expression(), decorators)

    def _resource(self) -> ResourceDeclaration:
        name = self._identifier()
        kind = self.expression()
        text = kind.value if isinstance(kind, Literal) else None
        type_, at, api_version = str(text).partition("@")
        if not at:
            raise self.error(f"the resource {name!r} names no type with its version")
        is_existing = self._take("existing")
        self._expect("=")
        condition = None
        if self._take("if"):
            self._expect("(")
            condition = self.expression()
            self._expect(")")
        body = self.expression()
        inner = body.body if isinstance(body, Loop) else body
        if not isinstance(inner, ObjectLiteral) or not isinstance(body, Loop | ObjectLiteral):
            raise self.error(f"the resource {name!r} is no object")
        return ResourceDeclaration(name, type_, api_version, is_existing, condition, body)

    # --- expressions ------------------------------------------------------------------------

    def expression(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.error("expressions stand too deep in each other")
        value = self._binary(0)
        if self._take("?"):
            self._skip_lines()
            then = self.expression()
            self._skip_lines()
            self._expect(":")
            self._skip_lines()
            value = Conditional(value, then, self.expression())
        self._depth -= 1
        return value

    def alone(self) -> Expression:
        """Return the expression that is all there is."""
        value = self.expression()
        if self._next.kind != "end":
            raise self.error(f"{self._next.text!r} is too much")
        return value

    def _binary(self, loosest: int) -> Expression:
        left = self._unary()
        while self._next.kind == "sign" and _BINDS.get(self._next.text, -1) >= loosest:
            operator = self._next.text
            self._at += 1
            left = Binary(operator, left, self._binary(_BINDS[operator] + 1))
        return left

    def _unary(self) -> Expression:
        signs = []
        while self._is("!", "-"):
            signs.append(self._next.text)
            self._at += 1
        value = self._postfix()
        if len(signs) > 1:
            raise self.error("one sign after another is not read")
        return Unary(signs[0], value) if signs else value

    def _postfix(self) -> Expression:
        value = self._primary()
        while True:
            if self._is(".", ".?"):
                is_safe = self._next.text == ".?"
                self._at += 1
                value = Member(value, self._identifier(), is_safe)
                if self._is("("):
                    raise self.error("calls of a resource's own functions are not read")
            elif self._is("[", "[?"):
                is_safe = self._next.text == "[?"
                self._at += 1
                value = Index(value, self.expression(), is_safe)
                self._expect("]")
            elif self._is("!"):
                # Tells the compiler that this is not null.
                self._at += 1
            else:
                return value

    def _primary(self) -> Expression:
        token = self._next
        if token.kind == "name":
            return self._named()
        if token.kind in {"number", "string"}:
            self._at += 1
            return Literal(int(token.text)) if token.kind == "number" else self._text(token)
        if self._is("{"):
            return self._object()
        if self._take("["):
            return self._array()
        if self._take("("):
            return self._parenthesized()
        raise self.error(f"{token.text or token.kind!r} begins no expression")

    def _text(self, token: Token) -> Literal | Text:
        parts = tuple(
            part if isinstance(part, str) else _Parser(part, self._file, self._depth).alone()
            for part in token.parts
            if part
        )
        if not parts or parts == token.parts:
            return Literal("".join(map(str, parts)))
        return Text(parts)

    def _named(self) -> Expression:
        name = self._identifier()
        if name in _WORDS:
            return Literal(_WORDS[name])
        if self._take("=>"):
            return Lambda((name,), self.expression())
        if not self._take("("):
            return Name(name)
        arguments = []
        self._skip_lines()
        while not self._take(")"):
            arguments.append(self.expression())
            self._skip_lines()
            if not self._is(")"):
                self._expect(",")
                self._skip_lines()
        return Call(name, tuple(arguments))

    def _parenthesized(self) -> Expression:
        self._skip_lines()
        value = self.expression()
        self._skip_lines()
        self._expect(")")
        return value

    def _array(self) -> Expression:
        self._skip_lines()
        if self._take("for"):
            return self._loop()
        items = []
        while not self._take("]"):
            items.append(self.expression())
            self._separate("]")
        return ArrayLiteral(tuple(items))

    def _loop(self) -> Loop:
        index = None
        if self._take("("):
            item = self._identifier()
            self._expect(",")
            index = self._identifier()
            self._expect(")")
        else:
            item = self._identifier()
        self._expect("in")
        of = self.expression()
        self._expect(":")
        self._skip_lines()
        if self._is("if"):
            raise self.error("loops with a condition are not read")
        body = self.expression()
        self._skip_lines()
        self._expect("]")
        return Loop(item, index, of, body)

    def _object(self) -> ObjectLiteral:
        self._expect("{")
        self._skip_lines()
        members: list[tuple[Literal | Text, Expression]] = []
        names: set[object] = set()
        while not self._take("}"):
            token = self._next
            if token.kind == "string":
                self._at += 1
                key: Literal | Text = self._text(token)
            else:
                key = Literal(self._identifier())
            if isinstance(key, Literal):
                if key.value in names:
                    raise self.error(f"the key {key.value!r} stands there twice")
                names.add(key.value)
            self._expect(":")
            members.append((key, self.expression()))
            self._separate("}")
        return ObjectLiteral(tuple(members))

    def _separate(self, end: str) -> None:
        """Step over what stands between two items: a comma, line ends, or both."""
        is_separated = self._take(",") or self._next.kind == "newline"
        self._skip_lines()
        if not is_separated and not self._is(end):
            raise self.error(f"expected a comma or a new line, not {self._next.text!r}")


def _add[T: (Parameter, Variable, ResourceDeclaration, Output)](
    parser: _Parser, to: dict[str, T], declared: T
) -> None:
    if declared.name in to:
        raise parser.error(f"{declared.name!r} is declared twice")
    to[declared.name] = declared


def parse_bicep(text: str, file: str) -> Module:
    """Return the module that the text says.

    Args:
        text: the content of a Bicep file.
        file: its name, for messages.

    Raises:
        BicepError: it is no Bicep, or uses what is not read here.

    """
    return _Parser(read_tokens(text, file), file).module()
