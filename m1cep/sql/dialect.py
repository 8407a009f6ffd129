"""Our SQL dialect: sqlglot's Trino, with Flink's DDL and window table functions, and the whole of MATCH_RECOGNIZE.

The row pattern itself stays text here, with its offset; ``sql.rowpattern`` parses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokenizer_core import TokenType

from m1cep.errors import RuleError
from m1cep.sql.nodes import RowMatch, Semantics, WindowTable

if TYPE_CHECKING:
    from m1cep.errors import SourceText


class M1cepSql(Trino):
    """The dialect of rules and stream declarations."""

    INDEX_OFFSET = 0  # sqlglot would rewrite the 1 of tags[1]; what is written stays

    class Tokenizer(Trino.Tokenizer):
        KEYWORDS = {**Trino.Tokenizer.KEYWORDS, "QUALIFY": TokenType.QUALIFY}

    class Parser(Trino.Parser):  # type: ignore[misc, valid-type]
        SCHEMA_UNNAMED_CONSTRAINTS = {*Trino.Parser.SCHEMA_UNNAMED_CONSTRAINTS, "WATERMARK"}
        CONSTRAINT_PARSERS = {
            **Trino.Parser.CONSTRAINT_PARSERS,
            "WATERMARK": lambda self: self._parse_watermark(),
        }
        # sqlglot takes the unit for a column and the last argument for the unit
        FUNCTIONS = {
            **Trino.Parser.FUNCTIONS,
            "TIMESTAMPDIFF": lambda args: exp.Anonymous(this="TIMESTAMPDIFF", expressions=args),
        }

        def _warn_unsupported(self) -> None:
            """Refuse what sqlglot does not understand; it would take it for an opaque command, and say so in a log."""
            self.raise_error("expected SELECT, CREATE TABLE or CREATE VIEW in its usual form", self._curr or self._prev)

        def _parse_placeholder(self) -> exp.Expr | None:
            """Sqlglot keeps no position of placeholders."""
            token = self._curr
            found = super()._parse_placeholder()
            if isinstance(found, exp.Placeholder) and token is not None:
                found.update_positions(token)
            return found

        def _parse_watermark(self) -> exp.Expr:
            self._match_text_seq("FOR")
            column = self._parse_column()
            self._match_text_seq("AS")
            return self.expression(exp.WatermarkColumnConstraint(this=column, expression=self._parse_disjunction()))

        def _parse_table(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
            if self._curr and self._curr.token_type == TokenType.TABLE and self._next.token_type == TokenType.L_PAREN:
                return self._parse_window_table()
            return super()._parse_table(*args, **kwargs)

        def _parse_window_table(self) -> WindowTable:
            self._match(TokenType.TABLE)
            self._match_l_paren()
            opening = self._curr
            name = self._parse_id_var()
            if name is None:
                self.raise_error("expected TUMBLE, HOP, CUMULATE or SESSION in TABLE(...)", self._curr)
            self._match_l_paren()
            self._parse_argument_name()
            self._match(TokenType.TABLE)
            is_query = self._curr.token_type == TokenType.L_PAREN
            data = super()._parse_table() if is_query else self._parse_table_parts()
            partition_by = self._parse_table_partition()
            self._expect_comma("DESCRIPTOR(event time)")
            self._parse_argument_name()
            if not self._match_text_seq("DESCRIPTOR"):
                self.raise_error("expected DESCRIPTOR(event time)", self._curr)
            descriptor = self._parse_wrapped_csv(self._parse_column)
            self._expect_comma("an INTERVAL")
            arguments = self._parse_csv(self._parse_window_argument)
            self._match_r_paren()
            self._match_r_paren()
            node = WindowTable(
                this=name,
                data=data,
                partition_by=partition_by,
                descriptor=descriptor,
                arguments=arguments,
                alias=self._parse_table_alias(),
            )
            node.update_positions(opening)
            return node

        def _parse_table_partition(self) -> list[exp.Expr]:
            """PARTITION BY column, or several in parentheses: a comma ends it, unlike that of OVER."""
            if not self._match(TokenType.PARTITION_BY):
                return []
            if self._curr.token_type == TokenType.L_PAREN:
                return self._parse_wrapped_csv(self._parse_column)
            return [self._parse_column()]

        def _expect_comma(self, before: str) -> None:
            if not self._match(TokenType.COMMA):
                self.raise_error(f"expected a comma and {before}", self._curr)

        def _parse_argument_name(self) -> exp.Expr | None:
            """``name =>`` before an argument."""
            if self._next.token_type != TokenType.FARROW:
                return None
            name = self._parse_id_var(any_token=True)
            self._match(TokenType.FARROW)
            return name

        def _parse_window_argument(self) -> exp.Expr | None:
            name = self._parse_argument_name()
            value = self._parse_disjunction()
            return value if name is None else self.expression(exp.Kwarg(this=name, expression=value))

        def _parse_match_recognize(self) -> RowMatch | None:
            if not self._match(TokenType.MATCH_RECOGNIZE):
                return None
            opening = self._prev
            self._match_l_paren()
            found: dict[str, Any] = {"partition_by": self._parse_partition_by(), "order": self._parse_order()}
            if self._match_text_seq("MEASURES"):
                found["measures"] = self._parse_csv(self._parse_measure)
            found["rows"] = self._parse_rows_per_match()
            if self._match_text_seq("AFTER", "MATCH", "SKIP"):
                found["after"], found["after_variable"] = self._parse_skip()
            if not self._match_text_seq("PATTERN"):
                self.raise_error("expected PATTERN (...) in MATCH_RECOGNIZE", self._curr or self._prev)
            found["pattern"] = self._parse_pattern_text()
            if self._match_text_seq("WITHIN"):
                found["within"] = self._parse_disjunction()
            if self._match_text_seq("SUBSET"):
                found["subsets"] = self._parse_csv(self._parse_subset)
            if self._match_text_seq("DEFINE"):
                found["define"] = self._parse_csv(self._parse_definition)
            self._match_r_paren()
            found["alias"] = self._parse_table_alias()
            node = RowMatch(**found)
            node.update_positions(opening)
            return node

        def _parse_unary(self) -> exp.Expr | None:
            """RUNNING and FINAL are prefixes of functions."""
            opening, after = self._curr, self._index + 2
            prefix = opening is not None and opening.text.upper() in {"RUNNING", "FINAL"} and after < len(self._tokens)
            if prefix and self._tokens[after].token_type == TokenType.L_PAREN:
                self._advance()
                node = Semantics(this=super()._parse_unary(), mode=opening.text.upper())
                node.update_positions(opening)
                return node
            return super()._parse_unary()

        def _parse_measure(self) -> exp.Expr:
            """``expression AS name``: without AS, sqlglot would take the word after it for the name, be it PATTERN."""
            measure = self._parse_disjunction()
            if not self._match(TokenType.ALIAS):
                self.raise_error("expected AS name after a measure", self._curr or self._prev)
            return self.expression(exp.Alias(this=measure, alias=self._parse_id_var(any_token=True)))

        def _parse_rows_per_match(self) -> str | None:
            if self._match_text_seq("ONE", "ROW", "PER", "MATCH"):
                return "ONE ROW"
            if not self._match_text_seq("ALL", "ROWS", "PER", "MATCH"):
                return None
            if self._match_text_seq("OMIT", "EMPTY", "MATCHES"):
                return "ALL ROWS OMIT EMPTY"
            if self._match_text_seq("WITH", "UNMATCHED", "ROWS"):
                return "ALL ROWS WITH UNMATCHED"
            self._match_text_seq("SHOW", "EMPTY", "MATCHES")
            return "ALL ROWS"

        def _parse_skip(self) -> tuple[str, exp.Expr | None]:
            if self._match_text_seq("PAST", "LAST", "ROW"):
                return "PAST LAST ROW", None
            if self._match_text_seq("TO", "NEXT", "ROW"):
                return "TO NEXT ROW", None
            if not self._match_text_seq("TO"):
                self.raise_error("expected PAST LAST ROW, TO NEXT ROW, TO FIRST v, TO LAST v or TO v", self._curr)
            where = self._prev.text.upper() if self._match_texts(("FIRST", "LAST")) else "LAST"
            return f"TO {where}", self._parse_id_var()

        def _parse_subset(self) -> exp.Expr:
            name = self._parse_id_var()
            self._match(TokenType.EQ)
            return self.expression(exp.Alias(this=exp.Tuple(expressions=self._parse_wrapped_id_vars()), alias=name))

        def _parse_definition(self) -> exp.Expr:
            name = self._parse_id_var()
            if not self._match(TokenType.ALIAS):
                self.raise_error("expected AS after the variable's name in DEFINE", self._curr or self._prev)
            return self.expression(exp.Alias(this=self._parse_disjunction(), alias=name))

        def _parse_pattern_text(self) -> exp.Expr:
            self._match_l_paren()
            start, depth = self._prev.end + 1, 1
            while self._curr and depth > 0:
                depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(self._curr.token_type, 0)
                self._advance()
            if depth > 0:
                self.raise_error("expected ) after the row pattern", self._curr or self._prev)
            text = exp.Var(this=self.sql[start : self._prev.start])
            text.meta["start"] = start
            return text


def parse(source: SourceText) -> list[exp.Expr]:
    """The statements of a text.

    Raises:
        RuleError: the text is not SQL that can be understood.
    """
    try:
        found = M1cepSql().parse(source.text, error_level=ErrorLevel.IMMEDIATE)
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        offset = _offset(source.text, first.get("line"), first.get("col"), len(first.get("highlight") or ""))
        message = str(first.get("description") or error).splitlines()[0]
        raise RuleError(
            f"not understood: {message}", source, offset, length=len(first.get("highlight") or " ")
        ) from None
    except TokenError as error:
        raise RuleError(f"not understood: {_first_line(error)}", source, 0) from None
    except RecursionError:
        raise RuleError("the statement is nested too deeply", source, hint="write it flatter") from None
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        # sqlglot on nonsense: some inputs end in these
        raise RuleError(f"not understood: {_first_line(error) or type(error).__name__}", source, 0) from None
    return [s for s in found if s is not None]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _offset(text: str, line: int | None, end_column: int | None, length: int) -> int:
    """Sqlglot gives a token's line and the column of its end."""
    if not line:
        return 0
    begin = 0
    for _ in range(line - 1):
        begin = text.find("\n", begin) + 1
    return max(begin, begin + (end_column or 1) - max(length, 1))
