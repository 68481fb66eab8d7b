//! The rows of some tables of a live database, replaced in one transaction, while nobody else reads or writes them.
//!
//! Triggers do not run. Whether all references hold is looked at before anything counts.

use super::load::{Counted, Watched, load_rows, reading_error};
use crate::model::{TableRows, unquote};
use crate::pipeline::Error;
use crate::pipeline::database::{Dump, SavedDatabase};
use crate::pipeline::filter::{Filtered, Wanted};
use crate::progress::Progress;
use crate::repo::ChunkReader;
use crate::sink::postgres::Loader;
use crate::source::postgres::{Connection, literal, psql};

/// Looks at every foreign key of these tables and of those that they are partitions of, from and to, by the operators that the
/// server itself compares with; and for duplicates where that is put off to the end of a transaction. `:TABLES` is a list of names.
const CHECK_SQL: &str = "DO $check$
DECLARE tables regclass[] := :TABLES::regclass[]; key record; broken boolean;
BEGIN
    FOR key IN WITH RECURSIVE around AS (
                SELECT unnest(tables)::oid AS oid UNION SELECT i.inhparent FROM pg_inherits i JOIN around ON i.inhrelid = around.oid
            ) SELECT c.conname, c.conrelid::regclass AS child, c.confrelid::regclass AS parent,
            (SELECT relkind FROM pg_class WHERE oid = c.conrelid) AS child_kind, (SELECT relkind FROM pg_class WHERE oid = c.confrelid) AS parent_kind,
            (SELECT string_agg(format('p.%I OPERATOR(%I.%s) c.%I', b.attname, n.nspname, o.oprname, a.attname), ' AND ')
                FROM unnest(c.conkey, c.confkey, c.conpfeqop) AS k (x, y, z)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x
                JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.y
                JOIN pg_operator o ON o.oid = k.z JOIN pg_namespace n ON n.oid = o.oprnamespace) AS same,
            (SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') FROM unnest(c.conkey) AS k (x)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x) AS filled
        FROM pg_constraint c WHERE c.contype = 'f' AND c.conparentid = 0
            AND (c.conrelid IN (SELECT oid FROM around) OR c.confrelid IN (SELECT oid FROM around))
            AND (c.convalidated OR c.conrelid = ANY (tables))
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s %s AS p WHERE %s))',
            CASE key.child_kind WHEN 'r' THEN 'ONLY' ELSE '' END, key.child, key.filled,
            CASE key.parent_kind WHEN 'r' THEN 'ONLY' ELSE '' END, key.parent, key.same) INTO broken;
        IF broken THEN
            RAISE EXCEPTION 'rows of % would refer to rows of % that are not there (foreign key %): restore both tables', key.child, key.parent, key.conname;
        END IF;
    END LOOP;
    FOR key IN SELECT c.conname, c.conrelid::regclass AS child, c.contype, (SELECT string_agg(format('%I', a.attname), ', ')
                FROM unnest(c.conkey) AS k (x) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x) AS columns,
            (SELECT string_agg(format('%I IS NOT NULL', a.attname), ' AND ') FROM unnest(c.conkey) AS k (x)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x) AS filled
        FROM pg_constraint c WHERE c.condeferrable AND c.contype IN ('p', 'u', 'x') AND c.conrelid = ANY (tables)
    LOOP
        broken := true;
        IF key.contype <> 'x' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %s WHERE %s GROUP BY %s HAVING count(*) > 1)', key.child, key.filled, key.columns) INTO broken;
        END IF;
        IF broken THEN
            RAISE EXCEPTION 'whether the rows of % keep to % is not sure: it can be put off, and would not be looked at', key.child, key.conname;
        END IF;
    END LOOP;
END $check$;
";

/// Makes sure that the tables are there, with the columns that the rows have.
pub(super) fn check(connection: &Connection, saved: &SavedDatabase<'_>, wanted: Wanted<'_>) -> Result<(), Error> {
    let Dump::Tables(tables) = &saved.dump else { return Ok(()) };
    for (table, columns, _) in tables.index.all_tables().filter(|(table, ..)| wanted.has(table)) {
        let columns: Vec<String> = columns.iter().map(|column| literal(&unquote(column))).collect();
        let sql = format!(
            "SELECT to_regclass({0}) IS NULL, (SELECT string_agg(c, ', ') FROM unnest(ARRAY[{1}]::text[]) AS c WHERE NOT EXISTS (
                SELECT FROM pg_attribute WHERE attrelid = to_regclass({0}) AND NOT attisdropped AND attname = c))",
            literal(table),
            columns.join(", ")
        );
        let rows = psql(connection, &sql)?;
        let row: Vec<&str> = rows.first().into_iter().flatten().map(String::as_str).collect();
        let database = &connection.database;
        let why = match row.as_slice() {
            ["f", ""] | ["f"] => continue,
            ["f", columns] => format!("the table {table} of {database} has other columns now: {columns} is not there"),
            _ => format!("{database} has no table {table}"),
        };
        return Err(Error::Refused(format!("{why}; --into restores it into a database of its own")));
    }
    Ok(())
}

/// Replaces the rows of the wanted tables, which [`check`] has found to be there, all of them or none.
pub(super) fn rows(
    connection: &Connection,
    saved: &SavedDatabase<'_>,
    reader: &mut ChunkReader,
    (wanted, tables): (Wanted<'_>, &[TableRows]),
    progress: &dyn Progress,
) -> Result<(), Error> {
    let Dump::Tables(files) = &saved.dump else { return Ok(()) };
    let failed = |error| reading_error(error, progress);
    let action = format!("replace the rows in {connection}");
    let mut loader = Loader::open(connection, (1, &saved.facts.encoding, true), action, progress)?;
    loader.script(&mut begin(tables).as_bytes()).map_err(failed)?;
    load_rows(&mut loader, reader, (files, wanted), progress)?;
    let others = Counted::new(files.statements(&files.index.others)?, reader, progress);
    let mut others = Filtered::only_rows(Watched::new(others), wanted);
    loader.script(&mut others).map_err(failed)?;
    loader.script(&mut end(tables).as_bytes()).map_err(failed)?;
    loader.end().map_err(failed)
}

fn begin(tables: &[TableRows]) -> String {
    let names: Vec<String> = tables.iter().map(|table| format!("ONLY {}", table.table)).collect();
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE;", names.join(", "));
    let delete = names.iter().map(|table| format!("DELETE FROM {table};"));
    let begin = ["SET LOCAL session_replication_role = replica;".to_owned(), lock];
    begin.into_iter().chain(delete).chain([String::new()]).collect::<Vec<_>>().join("\n")
}

fn end(tables: &[TableRows]) -> String {
    let names: Vec<String> = tables.iter().map(|table| literal(&table.table)).collect();
    let count = |TableRows { table, rows }: &TableRows| {
        format!(
            "DO $check$ DECLARE found bigint; BEGIN SELECT count(*) FROM ONLY {table} INTO found; IF found <> {rows} THEN
                RAISE EXCEPTION '% has % rows where the snapshot has {rows}', {}, found; END IF; END $check$;",
            literal(table)
        )
    };
    let counts = tables.iter().map(count);
    let keys = CHECK_SQL.replace(":TABLES", &format!("ARRAY[{}]", names.join(", ")));
    let path = "SET LOCAL search_path = pg_catalog, pg_temp;".to_owned();
    std::iter::once(path).chain(counts).chain([keys, "COMMIT;\n".to_owned()]).collect::<Vec<_>>().join("\n")
}
