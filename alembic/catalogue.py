"""What an installation looks like to the server: every object of one schema with its full definition, as text that can
be compared.

Two databases whose snapshots are equal behave alike, whatever scripts made them. `freeze.py` and the tests of the
migrations build on this.
"""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg.rows import tuple_row

Snapshot = dict[str, str]

# Grants, with the owner under one name for all installations and the implied defaults spelt out.
_ACL: LiteralString = """
  (select coalesce(string_agg(g.line, E'\\n' order by g.line collate "C"), '(none)')
   from (
     select concat(
       case e.grantee when 0 then 'public' when {owner} then '(owner)' else pg_get_userbyid(e.grantee) end, ': ',
       string_agg(e.privilege_type || case when e.is_grantable then '*' else '' end, ' ' order by e.privilege_type)
     ) as line
     from aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) e
     group by e.grantee) g)"""


def _acl(acl: LiteralString, kind: LiteralString, owner: LiteralString) -> LiteralString:
    return _ACL.replace("{acl}", acl).replace("{kind}", kind).replace("{owner}", owner)


_SCHEMA: LiteralString = f"""
  select 'acl of the schema', {_acl("n.nspacl", "n", "n.nspowner")} from pg_namespace n where n.oid = %(schema)s
  union all
  select 'comment on the schema', obj_description(n.oid, 'pg_namespace') from pg_namespace n where n.oid = %(schema)s"""

# Tables, views, sequences, composite types. Alembic's own book-keeping is not part of sql/.
_RELATIONS: LiteralString = """
  select concat_ws(' ',
      case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view'
        when 'c' then 'composite type' else 'table' end,
      c.relname),
    concat_ws(E'\\n',
      'persistence ' || c.relpersistence::text,
      'options ' || c.reloptions::text,
      'toast options ' || t.reloptions::text,
      'partitioned by ' || pg_get_partkeydef(c.oid),
      (select format('partition of %%s %%s', i.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid))
       from pg_inherits i where i.inhrelid = c.oid and c.relispartition),
      case when c.relrowsecurity then 'row security' end,
      case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
      (select format('as %%s start %%s by %%s from %%s to %%s cache %%s cycle %%s',
         format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
       from pg_sequence s where s.seqrelid = c.oid))
  from pg_class c left join pg_class t on t.oid = c.reltoastrelid
  where c.relnamespace = %(schema)s and c.relkind in ('r', 'p', 'S', 'v', 'm', 'c') and c.relname <> 'schema_version'"""

_RELATION_ACLS: LiteralString = f"""
  select 'acl of relation ' || c.relname, {_acl("c.relacl", "r", "c.relowner")}
  from pg_class c
  where c.relnamespace = %(schema)s and c.relkind in ('r', 'p', 'v', 'm') and c.relname <> 'schema_version'
  union all
  select 'acl of sequence ' || c.relname, {_acl("c.relacl", "s", "c.relowner")}
  from pg_class c where c.relnamespace = %(schema)s and c.relkind = 'S'"""

_COLUMNS: LiteralString = """
  select format('column %%s.%%s', c.relname, a.attname),
    concat_ws(' ',
      '#' || row_number() over (partition by c.oid order by a.attnum),
      format_type(a.atttypid, a.atttypmod),
      'collate ' || nullif(a.attcollation, y.typcollation)::regcollation::text,
      case when a.attnotnull then 'not null' end,
      case a.attgenerated when '' then 'default ' else 'generated ' end || pg_get_expr(d.adbin, d.adrelid),
      'identity ' || nullif(a.attidentity::text, ''),
      'storage ' || a.attstorage::text,
      'compression ' || nullif(a.attcompression::text, ''),
      'options ' || a.attoptions::text,
      'acl ' || a.attacl::text)
  from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type y on y.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = %(schema)s and c.relkind in ('r', 'p', 'v', 'm', 'c') and c.relname <> 'schema_version'"""

_CONSTRAINTS: LiteralString = """
  select format('constraint %%s on %%s', k.conname, coalesce(c.relname, y.typname)),
    pg_get_constraintdef(k.oid) || case when k.convalidated then '' else ' not validated' end
  from pg_constraint k left join pg_class c on c.oid = k.conrelid left join pg_type y on y.oid = k.contypid
  where k.connamespace = %(schema)s and c.relname is distinct from 'schema_version'"""

_INDEXES: LiteralString = """
  select format('index %%s on %%s', c.relname, t.relname),
    concat(pg_get_indexdef(i.indexrelid), case when not i.indisvalid then ' invalid' end,
      case when i.indisclustered then ' clustered' end)
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
  where c.relnamespace = %(schema)s and t.relname <> 'schema_version'"""

_TRIGGERS_AND_POLICIES: LiteralString = """
  select format('trigger %%s on %%s', g.tgname, c.relname), concat(pg_get_triggerdef(g.oid), ' ', g.tgenabled)
  from pg_trigger g join pg_class c on c.oid = g.tgrelid where c.relnamespace = %(schema)s and not g.tgisinternal
  union all
  select format('policy %%s on %%s', p.polname, c.relname),
    concat_ws(' ', p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
      pg_get_expr(p.polwithcheck, p.polrelid))
  from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = %(schema)s
  union all
  select 'statistics ' || s.stxname, pg_get_statisticsobjdef(s.oid)
  from pg_statistic_ext s where s.stxnamespace = %(schema)s"""

# Row and array types come with their tables.
_TYPES: LiteralString = f"""
  select concat_ws(' ', case y.typtype when 'e' then 'enum' when 'd' then 'domain' else 'range' end, y.typname),
    concat_ws(' ',
      (select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = y.oid),
      case when y.typtype = 'd' then format_type(y.typbasetype, y.typtypmod) end,
      'default ' || y.typdefault,
      case when y.typnotnull then 'not null' end)
  from pg_type y where y.typnamespace = %(schema)s and y.typtype in ('e', 'd', 'r')
  union all
  select 'acl of type ' || y.typname, {_acl("y.typacl", "T", "y.typowner")}
  from pg_type y where y.typnamespace = %(schema)s and y.typtype in ('e', 'd', 'r')"""

_ROUTINES: LiteralString = f"""
  select format('%%s %%s(%%s)', case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
      p.proname, pg_get_function_identity_arguments(p.oid)),
    case p.prokind when 'a' then (select a::text from pg_aggregate a where a.aggfnoid = p.oid)
      else pg_get_functiondef(p.oid) end
  from pg_proc p where p.pronamespace = %(schema)s
  union all
  select format('acl of routine %%s(%%s)', p.proname, pg_get_function_identity_arguments(p.oid)),
    {_acl("p.proacl", "f", "p.proowner")}
  from pg_proc p where p.pronamespace = %(schema)s
  union all
  select 'default acl for ' || d.defaclobjtype::text, d.defaclacl::text
  from pg_default_acl d where d.defaclnamespace = %(schema)s"""

_COMMENTS: LiteralString = """
  select concat_ws(' ', 'comment on', i.type, i.identity), d.description
  from pg_description d cross join pg_identify_object(d.classoid, d.objoid, d.objsubid) i
  where i.schema = (select nspname from pg_namespace where oid = %(schema)s)"""

# Each gives (object, definition); %(schema)s is the oid of the schema.
_QUERIES = (
    _SCHEMA,
    _RELATIONS,
    _RELATION_ACLS,
    _COLUMNS,
    _CONSTRAINTS,
    _INDEXES,
    _TRIGGERS_AND_POLICIES,
    _TYPES,
    _ROUTINES,
    _COMMENTS,
)

# Columns that hold a time are left out: what was written when differs.
_TABLES: LiteralString = """
  select c.relname,
    array_agg(a.attname order by a.attnum)
      filter (where a.atttypid not in ('timestamptz'::regtype, 'timestamp'::regtype))
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = %(schema)s and c.relkind = 'r' and c.relname <> 'schema_version'
  group by c.relname"""


def snapshot(connection: psycopg.Connection[Any], schema: str = "pgqueue") -> Snapshot:
    """Object → definition, for every object of the schema and the rows that the installation put there (times left
    out).
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("select oid from pg_namespace where nspname = %s", [schema]).fetchone()
        if row is None:
            return {}
        bound = {"schema": row[0]}
        result: Snapshot = {}
        for query in _QUERIES:
            for name, definition in cursor.execute(query, bound).fetchall():
                if definition is not None:
                    result[name] = definition
        for table, columns in cursor.execute(_TABLES, bound).fetchall():
            if not columns:
                continue
            listed = psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(column) for column in columns)
            rows = cursor.execute(
                psycopg.sql.SQL("select array(select t::text from (select {} from {}) t order by 1)").format(
                    listed, psycopg.sql.Identifier(schema, table)
                )
            ).fetchone()
            if rows is not None and rows[0]:
                result[f"rows of {table}"] = "\n".join(rows[0])
        return result


def differences(old: Snapshot, new: Snapshot) -> dict[str, tuple[str | None, str | None]]:
    """Objects that differ, with what each side has for them (None: it is not there), in name order."""
    return {name: (old.get(name), new.get(name)) for name in sorted({*old, *new}) if old.get(name) != new.get(name)}
