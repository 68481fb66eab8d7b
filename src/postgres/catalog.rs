//! Which tables of a database can be read in the order of their keys, and how.
//!
//! The order is the same for every backup and on every server: that of an index where it does not depend on a language,
//! else that of the bytes of the values' text.

use std::collections::HashMap;

use serde::Deserialize;

use super::client::parse;
use super::key_ranges::{RANGE_BYTES, bounds, conditions};
use super::moment::{TableQuery, look_on};
use super::shape_lock::{EXPRESSIONS, RUNS_CODE, ShapeLock};
use super::sql::{self, literal};
use super::table_file::file_name;
use super::{Connection, Error, Session};
use crate::cancel::Cancel;
use crate::model::{KeyColumn, KeyOrder, split_table};

/// Below this correlation of key and place, following the key jumps about in the table.
const CORRELATION_MIN: f64 = 0.5;

/// One row of JSON for each ordinary table. Columns that not every version of the server has are looked up by name.
const CATALOG_SQL: &str = "WITH database AS (
    SELECT datcollate, pg_catalog.to_jsonb(d) ->> 'datlocprovider' AS provider FROM pg_catalog.pg_database d
    WHERE datname = pg_catalog.current_database()
), enum_hashed AS (
    -- What an enum hashes to depends on the database that it is in. pg_dump tells such a key in the same way.
    SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p WHERE p.partstrat = 'h' AND EXISTS (
        SELECT FROM pg_catalog.pg_opclass o WHERE o.oid = ANY (p.partclass) AND o.opcname = 'enum_ops')
), others AS (
    -- Whoever owns a table, or one that it is a part of, may give it an index.
    WITH RECURSIVE tree AS (
        SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND relowner NOT IN (
            SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER)
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid
    ) SELECT oid FROM tree
), below AS (
    WITH RECURSIVE tree AS (
        SELECT partrelid AS oid FROM enum_hashed
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid
    ) SELECT oid FROM tree
)
SELECT pg_catalog.json_build_object(
    'oid', c.oid::pg_catalog.int8, 'schema', n.nspname, 'name', c.relname, 'table', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'bytes', CASE WHEN c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery() THEN 0 ELSE pg_catalog.pg_table_size(c.oid) END,
    'unfit', CASE
        WHEN c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery() THEN 'it is unlogged, and a standby has no rows of it'
        WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
            AND d.objid = c.oid AND d.deptype = 'e') THEN 'it belongs to an extension'
        WHEN c.oid IN (SELECT oid FROM others) AND :EXPRESSIONS THEN ':RUNS_CODE'
        -- To plan a query, the server reads such an index, and may run the function, which finds names where nobody says where they are.
        WHEN EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = x.indexrelid
                AND d.refclassid = 'pg_catalog.pg_proc'::regclass
            JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid JOIN pg_catalog.pg_language l ON l.oid = f.prolang
            WHERE x.indrelid = c.oid AND f.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')) THEN 'an index of it calls a function that is not the server''s own'
        WHEN pg_catalog.row_security_active(c.oid) THEN 'policies hide rows of it'
        WHEN c.oid IN (SELECT oid FROM below) THEN 'its partition depends on how an enum hashes' END,
    'is_of_others', c.oid IN (SELECT oid FROM others),
    'related', (WITH RECURSIVE above AS (
            SELECT inhparent AS oid FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid
            UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN above ON i.inhrelid = above.oid
        ) SELECT pg_catalog.json_agg(m.nspname || '.' || p.relname ORDER BY above.oid) FROM above
            JOIN pg_catalog.pg_class p ON p.oid = above.oid JOIN pg_catalog.pg_namespace m ON m.oid = p.relnamespace),
    'columns', (SELECT pg_catalog.json_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') = ''),
    'key', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('column', pg_catalog.quote_ident(a.attname), 'name', a.attname,
            'type', CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END,
            'collated', a.attcollation <> 0, 'by_bytes', CASE
                WHEN a.attcollation = 0 THEN false
                WHEN a.attcollation = 100 THEN coalesce(database.provider, 'c') IN ('c', 'b')
                    AND database.datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8')
                ELSE coalesce((SELECT o.collname IN ('C', 'POSIX', 'ucs_basic') FROM pg_catalog.pg_collation o
                    WHERE o.oid = a.attcollation AND o.collnamespace = 'pg_catalog'::regnamespace), false) END
            ) ORDER BY k.place)
        FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE k.place <= coalesce((pg_catalog.to_jsonb(i) ->> 'indnkeyatts')::integer, i.indnatts))
)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace CROSS JOIN database
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/// A table as the catalog has it.
#[derive(Debug, Deserialize)]
struct Entry {
    oid: u32,
    schema: String,
    name: String,
    table: String,
    bytes: u64,
    /// Why it is not read in the order of its key, whatever that is.
    unfit: Option<String>,
    /// Whether somebody may give it an index who is neither a superuser nor the one who asks.
    is_of_others: bool,
    related: Option<Vec<String>>,
    columns: Option<Vec<String>>,
    key: Option<Vec<EntryKey>>,
}

#[derive(Debug, Deserialize)]
struct EntryKey {
    column: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    collated: bool,
    by_bytes: bool,
}

/// What the statistics say of the first column of a key.
#[derive(Debug, Default, Deserialize)]
struct Statistics {
    correlation: Option<f64>,
    bounds: Option<Vec<String>>,
}

/// A table that is read in the order of its key.
#[derive(Debug)]
pub(crate) struct Table {
    oid: u32,
    is_of_others: bool,
    /// Schema and table, quoted where needed.
    pub(crate) quoted: String,
    /// For a pattern of `pg_dump`.
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The name of its file.
    pub(crate) file: String,
    /// Columns of its rows, quoted where needed.
    pub(crate) columns: Vec<String>,
    pub(crate) key: Vec<KeyColumn>,
    /// The tables whose rows these are too.
    pub(crate) related: Vec<String>,
    /// The queries that give its rows one after another.
    pub(crate) queries: Vec<String>,
}

impl Table {
    /// Whether several sessions read it.
    pub(crate) fn is_shared(&self) -> bool {
        self.queries.len() > 1
    }

    /// Its number and its name, quoted where needed.
    pub(crate) fn named(&self) -> (u32, &str) {
        (self.oid, &self.quoted)
    }

    /// The queries that give its rows. One that a single session reads is locked for that alone.
    pub(crate) fn table_queries(&self) -> impl Iterator<Item = TableQuery<'_>> {
        let locked = (!self.is_shared()).then(|| self.named());
        self.queries.iter().map(move |sql| TableQuery { sql, locked })
    }
}

/// The tables of a database.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Those that are read in the order of their keys, in the order of their files.
    pub(crate) keyed: Vec<Table>,
    /// Those that are not, and why.
    pub(crate) others: Vec<(String, String)>,
    /// For each table, without quotes, those whose rows are its rows too.
    relations: Vec<(String, Vec<String>)>,
    /// Whether texts are in another order in the encoding that they are read in.
    reorders: bool,
}

impl Catalog {
    /// The tables that a session sees. One that is larger than `scattered_max` bytes and whose rows do not lie in the order
    /// of its key is not read in it. `reorders` says whether texts are in another order in the encoding that they are read in.
    ///
    /// # Errors
    /// [`Error::Process`] with what the server said.
    pub(crate) fn read(
        session: &mut Session,
        (scattered_max, reorders): (u64, bool),
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let mut catalog = Self { reorders, ..Self::default() };
        let sql = CATALOG_SQL.replace(":EXPRESSIONS", EXPRESSIONS).replace(":RUNS_CODE", RUNS_CODE);
        for row in session.rows(&sql, cancel)? {
            let entry: Entry = parse(&row)?;
            sql::table(&entry.table)?;
            let mut columns = entry.columns.iter().flatten().chain(entry.key.iter().flatten().map(|key| &key.column));
            columns.try_for_each(|name| sql::column(name).map(drop))?;
            let name = format!("{}.{}", entry.schema, entry.name);
            catalog.relations.push((name, entry.related.clone().unwrap_or_default()));
            match entry.unfit.clone().or_else(|| Self::unfit(&entry)) {
                Some(why) => catalog.others.push((entry.table, why)),
                None => catalog.add(entry, session, scattered_max, cancel)?,
            }
        }
        catalog.keyed.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(catalog)
    }

    /// Keeps tables of others as they are until the lock is given back, and leaves those out of which that is not sure. `name` is
    /// that of the session.
    ///
    /// # Errors
    /// [`Error::Process`] with what the server said.
    pub(crate) fn lock(
        &mut self,
        connection: &Connection,
        name: &str,
        cancel: &Cancel,
    ) -> Result<Option<ShapeLock>, Error> {
        let of_others = self.keyed.iter().filter(|table| table.is_of_others);
        let of_others: HashMap<u32, String> = of_others.map(|table| (table.oid, table.quoted.clone())).collect();
        if of_others.is_empty() {
            return Ok(None);
        }
        let session = look_on(connection, name, cancel)?;
        let (lock, unfit) = ShapeLock::take(session, &of_others, cancel)?;
        let (others, keyed) =
            std::mem::take(&mut self.keyed).into_iter().partition(|table| unfit.contains_key(&table.oid));
        self.keyed = keyed;
        let others: Vec<Table> = others;
        self.others.extend(others.into_iter().filter_map(|table| {
            let why = unfit.get(&table.oid)?;
            Some((table.quoted, (*why).to_owned()))
        }));
        Ok(Some(lock))
    }

    /// The tables whose rows are those of a table that is named as a dump does: what it is part of, and of a whole its parts.
    pub(crate) fn related(&self, quoted: &str) -> Vec<String> {
        let (schema, table) = split_table(quoted);
        let name = format!("{schema}.{table}");
        let own = self.relations.iter().filter(|(known, _)| *known == name).flat_map(|(_, related)| related.clone());
        let parts = self.relations.iter().filter(|(_, related)| related.contains(&name)).map(|(part, _)| part.clone());
        // An ordinary table that others inherit from has rows of its own alone.
        let is_whole = !self.relations.iter().any(|(known, _)| *known == name);
        own.chain(parts.filter(|_| is_whole)).collect()
    }

    /// Why a table cannot be read in the order of its key.
    fn unfit(entry: &Entry) -> Option<String> {
        let columns = entry.columns.as_deref().unwrap_or_default();
        let key = entry.key.as_deref().unwrap_or_default();
        if key.is_empty() {
            Some("it has no primary key".to_owned())
        } else if key.iter().any(|key| !columns.contains(&key.column)) {
            Some("its key is generated".to_owned())
        } else {
            None
        }
    }

    fn add(&mut self, entry: Entry, session: &mut Session, scattered_max: u64, cancel: &Cancel) -> Result<(), Error> {
        let key = entry.key.as_deref().unwrap_or_default();
        let orders: Vec<Order> = key.iter().map(|key| Order::of(key, self.reorders)).collect();
        let by_index = orders.iter().all(|order| order.is_native);
        let mut statistics = Statistics::default();
        if entry.bytes > RANGE_BYTES
            && let Some(first) = key.first()
        {
            statistics = read_statistics(session, &entry, first, cancel)?;
        }
        // Where nothing is known, rows are taken to lie as they were inserted.
        let is_scattered = statistics.correlation.is_some_and(|value| value.abs() < CORRELATION_MIN);
        if (is_scattered || !by_index) && entry.bytes > scattered_max {
            let why = "it is large and its rows do not lie in the order of its key".to_owned();
            self.others.push((entry.table, why));
            return Ok(());
        }
        let bounds = if by_index && !is_scattered {
            bounds(statistics.bounds.unwrap_or_default(), orders.first().map(|order| order.kind), entry.bytes)
        } else {
            Vec::new()
        };
        let columns = entry.columns.unwrap_or_default();
        let order: Vec<&str> = orders.iter().map(|order| order.sql.as_str()).collect();
        let select = format!("SELECT {} FROM ONLY {}", columns.join(", "), entry.table);
        let order = order.join(", ");
        let first = key.first().map(|key| key.column.as_str()).unwrap_or_default();
        let queries =
            conditions(first, &bounds).into_iter().map(|condition| format!("{select}{condition} ORDER BY {order}"));
        let queries = queries.collect();
        let orders = orders.iter().map(|order| order.kind);
        let key = key.iter().zip(orders).map(|(key, order)| KeyColumn { column: key.column.clone(), order }).collect();
        let file = file_name(&entry.schema, &entry.name);
        let Entry { oid, is_of_others, table, schema, name, related, .. } = entry;
        let related = related.unwrap_or_default();
        self.keyed.push(Table { oid, is_of_others, quoted: table, schema, name, file, columns, key, related, queries });
        Ok(())
    }
}

/// How rows are ordered by one column.
struct Order {
    sql: String,
    kind: KeyOrder,
    /// Whether this is the order of the column's own index.
    is_native: bool,
}

impl Order {
    fn of(key: &EntryKey, reorders: bool) -> Self {
        let column = &key.column;
        let native = |kind| Self { sql: column.clone(), kind, is_native: true };
        let by_bytes = |text: &str| {
            let sql = if reorders {
                format!("pg_catalog.convert_to({text}, 'UTF8')")
            } else {
                format!("{text} COLLATE \"C\"")
            };
            Self { sql, kind: KeyOrder::Bytes, is_native: false }
        };
        match key.kind.as_str() {
            "int2" | "int4" | "int8" | "oid" => native(KeyOrder::Integer),
            "date" | "timestamp" | "timestamptz" => native(KeyOrder::Time),
            "uuid" | "bytea" | "bool" => native(KeyOrder::Bytes),
            "text" | "varchar" | "name" if key.by_bytes && !reorders => native(KeyOrder::Bytes),
            "text" | "varchar" if key.collated => by_bytes(column),
            // What COPY writes, whatever a cast to text would make of the value.
            _ => by_bytes(&format!("pg_catalog.format('%s', {column})")),
        }
    }
}

fn read_statistics(session: &mut Session, entry: &Entry, key: &EntryKey, cancel: &Cancel) -> Result<Statistics, Error> {
    let [schema, table, column] = [&entry.schema, &entry.name, &key.name].map(|name| literal(name));
    let query = format!(
        "SELECT pg_catalog.json_build_object('correlation', correlation, 'bounds', CASE WHEN pg_catalog.getdatabaseencoding() = 'UTF8'
                OR histogram_bounds::pg_catalog.text COLLATE \"C\" !~ '[^\\x01-\\x7F]' THEN histogram_bounds::pg_catalog.text::pg_catalog.text[] END)
            FROM pg_catalog.pg_stats WHERE schemaname = {schema} AND tablename = {table} AND attname = {column} AND NOT inherited"
    );
    let rows = session.rows(&query, cancel)?;
    rows.first().map_or_else(|| Ok(Statistics::default()), parse)
}
