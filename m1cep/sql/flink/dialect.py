"""How Flink SQL is written: its reserved words, its names of types and functions, MATCH_RECOGNIZE.

``sql.flink.rewrite`` makes a tree mean in Flink what it means here; this module only puts it on paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp, generator, tokens
from sqlglot.dialects.dialect import Dialect

from m1cep.sql.nodes import RowMatch

if TYPE_CHECKING:
    from collections.abc import Callable

#: Words that need backquotes as names: what Flink 2.3's parser says of itself (SqlAbstractParserImpl.Metadata).
RESERVED = frozenset(
    """
    abs all allocate allow alter and any are array array_concat_agg array_max_cardinality as asensitive
    asymmetric at atomic authorization avg begin begin_frame begin_partition between bigint binary bit bitmap
    blob boolean both buckets by bytes call called cardinality cascaded case cast catalogs ceil ceiling char
    char_length character character_length check classifier clob close coalesce collate collect column comment
    commit condition connect connections constraint contains contains_substr continuous convert corr
    corresponding count covar_pop covar_samp create cross cube cume_dist current current_catalog current_date
    current_default_transform_group current_path current_role current_row current_schema current_time
    current_timestamp current_transform_group_for_type current_user cursor cycle databases date date_trunc
    datetime datetime_trunc day deallocate dec decimal declare default define delete dense_rank deref describe
    deterministic disallow disconnect distinct distributed distribution dot double drop dynamic each element
    else empty end end_frame end_partition equals escape every except exec execute exists exp explain extend
    extended external extract false fetch filter first_value float floor for foreign frame_row free freshness
    friday from full function functions fusion get global grant group group_concat grouping groups hash having
    hold hour identity ilike import in include indicator initial inner inout insensitive insert int integer
    intersect intersection interval into is join json_array json_arrayagg json_exists json_object json_objectagg
    json_query json_scope json_value lag language large last_value lateral lead leading left like like_regex
    limit ln local localtime localtimestamp lower match match_number match_recognize matches materialized max
    measures member merge method min minus minute mod models modifies modify module modules monday month
    multiset national natural nchar nclob new next no none normalize not nth_value ntile null nullif numeric
    occurrences_regex octet_length of offset old omit on one only open or order ordinal out outer over overlaps
    overlay parameter partition pattern per percent percent_rank percentile_cont percentile_disc period permute
    pivot portion position position_regex power precedes precision prepare prev primary procedure procedures
    qualify quarters range rank raw reads real recursive ref references referencing refresh refresh_mode
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy release rename
    reset result resume return returns revoke right rlike rollback rollup row row_number rows running safe_cast
    safe_offset safe_ordinal saturday savepoint scala scope scroll search second seek select sensitive separator
    session_user set show similar skip smallint some specific specifictype sql sqlexception sqlstate sqlwarning
    sqrt start statement static stddev_pop stddev_samp stream string string_agg structured submultiset subset
    substring substring_regex succeeds sum sunday suspend symmetric system system_time system_user table tables
    tablesample then thursday time time_diff time_trunc timestamp timestamp_diff timestamp_ltz timestamp_trunc
    timezone_hour timezone_minute tinyint to trailing translate translate_regex translation treat trigger trim
    trim_array true truncate try_cast tuesday uescape union unique unknown unnest unpivot update upper upsert
    use user using value value_of values var_pop var_samp varbinary varchar variant varying versioning views
    watermark watermarks wednesday weeks when whenever where width_bucket window with within without year
    """.split()  # noqa: SIM905 - 432 words are read more easily than 432 strings
)


def _row_match(gen: generator.Generator, node: exp.Expr) -> str:
    """MATCH_RECOGNIZE (...), a clause a line. Flink wants the clause AFTER MATCH: without it, it skips to the next row."""
    clauses = [
        _clause(gen, "PARTITION BY", node.args.get("partition_by")),
        f"ORDER BY {', '.join(gen.sql(o) for o in node.args['order'].expressions)}",
        _clause(gen, "MEASURES", node.args.get("measures"), indented=True),
        "ONE ROW PER MATCH",
        f"AFTER MATCH SKIP {node.args['after']}",
        f"PATTERN ({node.args['pattern'].this})",
        f"WITHIN {gen.sql(node, 'within')}" if node.args.get("within") is not None else "",
        _clause(gen, "DEFINE", node.args.get("define"), indented=True),
    ]
    body = "\n".join("  " + line for clause in clauses if clause for line in clause.splitlines())
    alias = gen.sql(node, "alias")
    return f"\nMATCH_RECOGNIZE (\n{body}\n)" + (f" AS {alias}" if alias else "")


def _clause(gen: generator.Generator, word: str, items: list[exp.Expr] | None, *, indented: bool = False) -> str:
    if not items:
        return ""
    texts = [_definition(gen, i) if word == "DEFINE" else gen.sql(i) for i in items]
    if not indented:
        return f"{word} {', '.join(texts)}"
    return f"{word}\n" + ",\n".join("  " + t.replace("\n", "\n  ") for t in texts)


def _definition(gen: generator.Generator, item: exp.Expr) -> str:
    return f"{gen.sql(item, 'alias')} AS {gen.sql(item, 'this')}"


def _renamed(name: str, *arguments: str) -> Callable[[generator.Generator, exp.Expr], str]:
    return lambda gen, node: gen.func(name, *(node.args.get(a) for a in arguments or ("this",)))


class FlinkSql(Dialect):
    """Flink SQL, to be written, not read."""

    class Tokenizer(tokens.Tokenizer):
        IDENTIFIERS = ["`"]

    class Generator(generator.Generator):
        RESERVED_KEYWORDS = set(RESERVED)
        TYPE_MAPPING = {
            **generator.Generator.TYPE_MAPPING,
            exp.DType.TEXT: "STRING",
            exp.DType.VARCHAR: "STRING",
        }
        TRANSFORMS = {
            **generator.Generator.TRANSFORMS,
            RowMatch: _row_match,
            exp.Paren: lambda gen, node: f"({gen.sql(node, 'this')})",
            exp.Length: _renamed("CHAR_LENGTH"),
            exp.Mod: _renamed("MOD", "this", "expression"),
            exp.Pow: _renamed("POWER", "this", "expression"),
            exp.Substring: _renamed("SUBSTRING", "this", "start", "length"),
            exp.First: _renamed("FIRST", "this", "expression"),
            exp.Last: _renamed("LAST", "this", "expression"),
            exp.Stddev: _renamed("STDDEV_SAMP"),
            exp.StddevPop: _renamed("STDDEV_POP"),
            exp.StddevSamp: _renamed("STDDEV_SAMP"),
            exp.Variance: _renamed("VAR_SAMP"),
            exp.VariancePop: _renamed("VAR_POP"),
        }


def write(node: exp.Expr) -> str:
    """The text of a tree."""
    return node.sql(dialect=FlinkSql, pretty=True, max_text_width=100)
