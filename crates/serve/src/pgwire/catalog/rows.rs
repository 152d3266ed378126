//! The rows of catalog relations. A row knows its values by canonical expression, so
//! that `relname` and `CASE c.relkind WHEN ...` are both merely names of values.

use super::super::error::Result;
use super::super::relations::{CatalogInfo, Relation, RelationKind};
use super::super::types::{PgColumn, type_name};
use super::functions::Facts;
use super::unsupported;

/// A row.
#[derive(Default)]
pub(super) struct Row {
    values: Vec<(&'static str, Option<String>)>,
    /// Conditions of joins that the row is the result of already.
    pub(super) joins: &'static [&'static str],
}

impl Row {
    fn new<const N: usize>(values: [(&'static str, &str); N]) -> Self {
        let values = values.into_iter().map(|(name, value)| (name, Some(value.to_owned())));
        Self { values: values.collect(), joins: &[] }
    }

    fn with_null(mut self, names: &[&'static str]) -> Self {
        self.values.extend(names.iter().map(|name| (*name, None)));
        self
    }

    fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        self.values.push((name, value));
        self
    }

    /// The value of an expression. A name that ends in `*` is the beginning of one.
    pub(super) fn value(&self, expression: &str) -> Option<Option<String>> {
        let is_it = |name: &str| match name.strip_suffix('*') {
            Some(start) => expression.starts_with(start),
            None => name == expression,
        };
        self.values.iter().find(|(name, _)| is_it(name)).map(|(_, value)| value.clone())
    }
}

/// Relations of which there is nothing here, so that every query of them is empty.
const EMPTY: [&str; 21] = [
    "pg_policy",
    "pg_statistic_ext",
    "pg_publication",
    "pg_publication_rel",
    "pg_inherits",
    "pg_trigger",
    "pg_constraint",
    "pg_proc",
    "pg_rewrite",
    "pg_rules",
    "pg_foreign_table",
    "pg_foreign_server",
    "pg_partitioned_table",
    "pg_extension",
    "pg_event_trigger",
    "pg_enum",
    "pg_collation",
    "pg_subscription",
    "pg_tablespace",
    "pg_auth_members",
    "pg_sequences",
];

/// Whether a name in FROM is one of the catalog's.
pub(super) fn is_relation(from: &str) -> bool {
    from.starts_with("pg_") || from.starts_with("information_schema.")
}

/// Whether a relation never has rows.
pub(super) fn is_empty(from: &str) -> bool {
    EMPTY.contains(&from)
}

/// All rows of a relation.
pub(super) fn rows(from: &str, info: &dyn CatalogInfo, facts: &Facts<'_>) -> Result<Vec<Row>> {
    let relations = || {
        let mut relations = info.relations();
        relations.sort_by(|a, b| (&a.schema_name, &a.name).cmp(&(&b.schema_name, &b.name)));
        relations
    };
    let user = facts.user();
    Ok(match from {
        "pg_class" => {
            let schema = info.current_schema();
            relations().iter().map(|relation| class(relation, &schema, user)).collect()
        }
        "pg_attribute" => relations().iter().flat_map(attributes).collect(),
        "pg_index" => relations().iter().filter_map(primary_key).collect(),
        "pg_namespace" => info.schemas().iter().map(|schema| namespace(schema, user)).collect(),
        "pg_database" => vec![database(&info.database(), user)],
        "pg_roles" | "pg_user" => vec![role(user)],
        "pg_tables" | "pg_views" | "pg_matviews" => {
            let kind = match from {
                "pg_tables" => RelationKind::Table,
                "pg_views" => RelationKind::View,
                _ => RelationKind::MaterializedView,
            };
            relations().iter().filter(|r| r.kind == kind).map(|r| listed(r, user)).collect()
        }
        "information_schema.schemata" => {
            let catalog = info.database();
            info.schemas()
                .iter()
                .map(|schema| Row::new([("catalog_name", &catalog), ("schema_name", schema)]))
                .collect()
        }
        "information_schema.tables" => {
            let catalog = info.database();
            relations().iter().map(|relation| standard_table(relation, &catalog)).collect()
        }
        "information_schema.columns" => {
            let catalog = info.database();
            relations().iter().flat_map(|relation| standard_columns(relation, &catalog)).collect()
        }
        _ if is_empty(from) => Vec::new(),
        other => return Err(unsupported(other)),
    })
}

/// An OID: the same for a relation as long as it has its name (FNV-1a of schema and
/// name, in the range that PostgreSQL gives to users' objects).
pub(super) fn oid_of(schema: &str, name: &str) -> String {
    let bytes = schema.bytes().chain([0]).chain(name.bytes());
    let hash = bytes
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (16_384 + hash % 0x4000_0000).to_string()
}

fn letter(truth: bool) -> &'static str {
    if truth { "t" } else { "f" }
}

fn class(relation: &Relation, current_schema: &str, user: &str) -> Row {
    let (kind, word) = match relation.kind {
        RelationKind::Table => ("r", "table"),
        RelationKind::View => ("v", "view"),
        RelationKind::MaterializedView => ("m", "materialized view"),
    };
    let oid = oid_of(&relation.schema_name, &relation.name);
    Row::new([
        ("oid", &oid),
        ("relname", &relation.name),
        ("n.nspname", &relation.schema_name),
        ("relnamespace", &oid_of(&relation.schema_name, "")),
        ("relkind", kind),
        ("case relkind when*", word),
        ("pg_get_userbyid(relowner)", user),
        ("pg_table_is_visible(oid)", letter(relation.schema_name == current_schema)),
        ("relchecks", "0"),
        ("relhasindex", letter(!relation.primary_key.is_empty())),
        ("relhasrules", "f"),
        ("relhastriggers", "f"),
        ("relrowsecurity", "f"),
        ("relforcerowsecurity", "f"),
        ("relispartition", "f"),
        ("reltablespace", "0"),
        ("case when reloftype=0*", ""),
        ("relpersistence", "p"),
        ("case relpersistence when*", "permanent"),
        ("relreplident", "d"),
        ("relnatts", &relation.columns.fields().len().to_string()),
    ])
    .with_null(&[
        "am.amname",
        "pg_size_pretty(pg_table_size(oid))",
        "obj_description(oid,'pg_class')",
        "array_to_string(reloptions||array(*",
    ])
}

fn attributes(relation: &Relation) -> Vec<Row> {
    let oid = oid_of(&relation.schema_name, &relation.name);
    let fields = relation.columns.fields().iter().zip(1..);
    fields
        .map(|(field, number): (_, i32)| {
            let column = PgColumn::of(field.data_type());
            Row::new([
                ("attrelid", &oid),
                ("attname", field.name()),
                ("attnum", &number.to_string()),
                ("atttypid", &column.pg_type.oid().to_string()),
                ("atttypmod", &column.modifier().to_string()),
                ("format_type(atttypid,atttypmod)", &type_name(field.data_type())),
                ("attnotnull", letter(!field.is_nullable())),
                ("attisdropped", "f"),
                ("attidentity", ""),
                ("attgenerated", ""),
                ("attstorage", if column.length() < 0 { "x" } else { "p" }),
                ("c.relname", &relation.name),
                ("n.nspname", &relation.schema_name),
            ])
            .with_null(&[
                "(select pg_get_expr(*",
                "(select c.collname from*",
                "case when attstattarget=-1*",
                "attcompression",
                "attstattarget",
                "col_description(attrelid,attnum)",
            ])
        })
        .collect()
}

/// The primary key (psql puts the words before the definition) as the index list of `\d` shows it.
fn primary_key(relation: &Relation) -> Option<Row> {
    let columns: Vec<&str> = relation
        .primary_key
        .iter()
        .map(|&column| relation.columns.fields().get(column).map(|field| field.name().as_str()))
        .collect::<Option<_>>()?;
    if columns.is_empty() {
        return None;
    }
    let columns = columns.join(", ");
    let mut row = Row::new([
        ("oid", &oid_of(&relation.schema_name, &relation.name)),
        ("c2.relname", &format!("{}_pkey", relation.name)),
        ("i.indisprimary", "t"),
        ("i.indisunique", "t"),
        ("i.indisclustered", "f"),
        ("i.indisvalid", "t"),
        ("pg_get_indexdef(i.indexrelid,0,true)", &format!("not enforced ({columns})")),
        ("pg_get_constraintdef(con.oid,true)", &format!("PRIMARY KEY ({columns}) NOT ENFORCED")),
        ("contype", "p"),
        ("condeferrable", "f"),
        ("condeferred", "f"),
        ("i.indisreplident", "f"),
        ("c2.reltablespace", "0"),
    ]);
    row.joins = &["oid=i.indrelid", "i.indexrelid=c2.oid"];
    Some(row)
}

fn namespace(schema: &str, user: &str) -> Row {
    Row::new([
        ("oid", &oid_of(schema, "")),
        ("nspname", schema),
        ("pg_get_userbyid(nspowner)", user),
    ])
    .with_null(&["array_to_string(nspacl*", "obj_description(oid,'pg_namespace')"])
}

fn database(name: &str, user: &str) -> Row {
    Row::new([
        ("oid", &oid_of(name, "")),
        ("datname", name),
        ("pg_get_userbyid(datdba)", user),
        ("pg_encoding_to_char(encoding)", "UTF8"),
        ("datcollate", "C"),
        ("datctype", "C"),
        ("datallowconn", "t"),
        ("datistemplate", "f"),
        ("case datlocprovider when*", "libc"),
    ])
    .with_null(&["array_to_string(datacl*", "daticulocale"])
}

fn role(user: &str) -> Row {
    Row::new([
        ("rolname", user),
        ("usename", user),
        ("rolsuper", "t"),
        ("rolinherit", "t"),
        ("rolcreaterole", "f"),
        ("rolcreatedb", "f"),
        ("rolcanlogin", "t"),
        ("rolconnlimit", "-1"),
        ("rolreplication", "f"),
        ("rolbypassrls", "t"),
        ("array(select b.rolname*", "{}"),
    ])
    .with_null(&["rolvaliduntil", "shobj_description(oid,'pg_authid')"])
}

/// A row of `pg_tables`, `pg_views` and `pg_matviews`.
fn listed(relation: &Relation, user: &str) -> Row {
    Row::new([
        ("schemaname", &relation.schema_name),
        ("tablename", &relation.name),
        ("viewname", &relation.name),
        ("matviewname", &relation.name),
        ("tableowner", user),
        ("viewowner", user),
        ("matviewowner", user),
    ])
    .with("definition", relation.definition.clone())
}

fn standard_table(relation: &Relation, catalog: &str) -> Row {
    let kind = match relation.kind {
        RelationKind::Table => "BASE TABLE",
        // The standard has no materialized views.
        RelationKind::View | RelationKind::MaterializedView => "VIEW",
    };
    Row::new([
        ("table_catalog", catalog),
        ("table_schema", &relation.schema_name),
        ("table_name", &relation.name),
        ("table_type", kind),
    ])
}

fn standard_columns(relation: &Relation, catalog: &str) -> Vec<Row> {
    let fields = relation.columns.fields().iter().zip(1..);
    fields
        .map(|(field, number): (_, i32)| {
            Row::new([
                ("table_catalog", catalog),
                ("table_schema", &relation.schema_name),
                ("table_name", &relation.name),
                ("column_name", field.name()),
                ("ordinal_position", &number.to_string()),
                ("is_nullable", if field.is_nullable() { "YES" } else { "NO" }),
                ("data_type", &type_name(field.data_type())),
                ("udt_name", PgColumn::of(field.data_type()).pg_type.name()),
            ])
            .with_null(&["column_default"])
        })
        .collect()
}
