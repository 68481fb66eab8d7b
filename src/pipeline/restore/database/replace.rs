//! The rows of some tables of a live database, replaced in one transaction, while nobody else reads or writes them.
//!
//! Triggers do not run. Whether all references hold is looked at before anything counts.

use std::io::Read;

use super::load::{Counted, reading_error};
use crate::cancel::Cancel;
use crate::id::hex;
use crate::model::{TableRows, split_names, split_table, unquote};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::database::{Dump, SavedDatabase};
use crate::pipeline::filter::{Filtered, Wanted};
use crate::pipeline::stream::Segment;
use crate::postgres::sql::{ident, literal, table as table_name};
use crate::postgres::{self, Connection, query};
use crate::repo::ChunkReader;
use crate::sink::postgres::{
    ReplaceOptions, RowReplacer, RowSession, SETTLE, is_loader, maintenance, owners_of_tables,
};

/// Looks at every foreign key of these tables and of those that they are partitions of, from and to, by the operators that the
/// server itself compares with; and for duplicates where that is put off to the end of a transaction. `:TABLES` is a list of names.
const CHECK_SQL: &str = "DECLARE tables regclass[] := :TABLES::regclass[]; key record; broken boolean;
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
        :SETTLE
        EXECUTE format('SELECT EXISTS (SELECT FROM %s %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s %s AS p WHERE %s))',
            CASE key.child_kind WHEN 'r' THEN 'ONLY' ELSE '' END, key.child, key.filled,
            CASE key.parent_kind WHEN 'r' THEN 'ONLY' ELSE '' END, key.parent, key.same) INTO broken;
        IF broken THEN
            RAISE EXCEPTION 'rows of % would refer to rows of % that are not there (foreign key %): restore both tables', key.child, key.parent, key.conname;
        END IF;
    END LOOP;
    :SETTLE
    FOR key IN SELECT c.conname, c.conrelid::regclass AS child, c.contype, (SELECT string_agg(format('%I', a.attname), ', ')
                FROM unnest(c.conkey) AS k (x) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x) AS columns,
            (SELECT string_agg(format('%I IS NOT NULL', a.attname), ' AND ') FROM unnest(c.conkey) AS k (x)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x) AS filled
        FROM pg_constraint c WHERE c.condeferrable AND c.contype IN ('p', 'u', 'x') AND c.conrelid = ANY (tables)
    LOOP
        :SETTLE
        broken := true;
        IF key.contype <> 'x' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %s WHERE %s GROUP BY %s HAVING count(*) > 1)', key.child, key.filled, key.columns) INTO broken;
        END IF;
        IF broken THEN
            RAISE EXCEPTION 'whether the rows of % keep to % is not sure: it can be put off, and would not be looked at', key.child, key.conname;
        END IF;
    END LOOP;
END;";

/// What there is to know before rows are replaced.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Which columns have come since then, in words.
    pub(super) notes: Vec<String>,
    /// The tables that are gone, quoted where needed.
    pub(super) missing: Vec<String>,
}

/// Makes sure that the tables have the columns that the rows have, where they are there.
pub(super) fn check(
    connection: &Connection,
    saved: &SavedDatabase<'_>,
    wanted: Wanted<'_>,
    cancel: &Cancel,
) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let Dump::Tables(tables) = &saved.dump else { return Ok(checked) };
    for (table, columns, _) in tables.index.all_tables().filter(|(table, ..)| wanted.has(table)) {
        let columns: Vec<String> = columns.iter().map(|column| literal(&unquote(column))).collect();
        let sql = format!(
            "SELECT coalesce((SELECT relkind IN ('r', 'p', 'f') FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass({0})), false),
                (SELECT pg_catalog.string_agg(c, ', ') FROM pg_catalog.unnest(ARRAY[{1}]::pg_catalog.text[]) AS c WHERE NOT EXISTS (
                SELECT FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass({0}) AND NOT attisdropped AND attname = c)),
                (SELECT pg_catalog.string_agg(attname, ', ' ORDER BY attnum) FROM pg_catalog.pg_attribute a WHERE attrelid = pg_catalog.to_regclass({0})
                AND attnum > 0 AND NOT attisdropped AND coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') = ''
                AND attname <> ALL (ARRAY[{1}]::pg_catalog.text[])),
                NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner WHERE c.oid = pg_catalog.to_regclass({0}) AND NOT ({3})),
                pg_catalog.to_regnamespace({2}) IS NULL",
            literal(&table_name(table)?),
            columns.join(", "),
            literal(&ident(&split_table(table).0)),
            is_loader()
        );
        let rows = query(connection, &sql, cancel)?;
        let row: Vec<Option<&str>> = rows.first().into_iter().flatten().map(Option::as_deref).collect();
        let database = &connection.database;
        let why = match row.as_slice() {
            [.., Some("t"), Some("f")] => {
                checked.missing.push(table.to_owned());
                continue;
            }
            [.., Some("t"), _] => format!("{database} has neither the table {table} nor its schema"),
            [Some("t"), None, added, ..] => {
                checked.notes.extend(added.map(|columns| {
                    format!(
                        "{table}: the snapshot does not have the columns {}, which get their defaults",
                        columns.escape_debug()
                    )
                }));
                continue;
            }
            [Some("t"), Some(columns), ..] => {
                format!("the table {table} of {database} has other columns now: {columns} is not there")
            }
            _ => format!("{table} is no table in {database} any more"),
        };
        return Err(Error::Refused(format!("{why}; --into restores it into a database of its own")));
    }
    Ok(checked)
}

/// Makes sure that tables that are there belong to whom they belonged to, or to a superuser: whoever owns one reads its rows.
/// Returns in words of which that is not known.
pub(super) fn check_owners(
    connection: &Connection,
    saved: &SavedDatabase<'_>,
    (reader, tables): (&mut ChunkReader, &[TableRows]),
    monitor: &Monitor<'_>,
) -> Result<Vec<String>, Error> {
    let mut unknown = Vec::new();
    let Dump::Tables(files) = &saved.dump else { return Ok(unknown) };
    let mut before = Counted::new(files.statements(&files.index.before)?, reader, monitor);
    let owners =
        owners_of_tables(&mut before, &saved.facts.dump_encoding).map_err(|error| reading_error(error, monitor))?;
    for TableRows { table, .. } in tables {
        let was = split_names(table).and_then(|names| owners.get(&names));
        // Bytes that are not UTF-8 are not known here.
        let Some(was) = was.filter(|owner| !owner.contains(char::REPLACEMENT_CHARACTER)) else {
            unknown.push(format!(
                "whom {} belonged to is not known: it was not compared with its owner now, who may read these rows",
                table.escape_debug()
            ));
            continue;
        };
        // The database reads them as it does in the dump.
        let sql = format!(
            "SELECT r.rolname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
                WHERE c.oid = pg_catalog.to_regclass({}) AND NOT r.rolsuper
                    AND r.rolname <> pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), {})::pg_catalog.name",
            literal(&table_name(table)?),
            hex(was.as_bytes()),
            literal(&saved.facts.dump_encoding)
        );
        let rows = query(connection, &sql, monitor.cancel())?;
        if let Some(owner) = rows.into_iter().flatten().flatten().next() {
            let [table, owner, was] = [table, &owner, was].map(|name| name.escape_debug());
            return Err(Error::Refused(format!(
                "the table {table} belongs to {owner} now, and belonged to {was}, whose rows {owner} would read: give it to {was}, or drop it; \
                 --into restores it into a database of its own"
            )));
        }
    }
    Ok(unknown)
}

/// Replaces the rows of the wanted tables, which [`check`] has found to be there, all of them or none. Returns what is worth
/// knowing.
pub(super) fn rows(
    (connection, trusts_code): (&Connection, bool),
    saved: &SavedDatabase<'_>,
    reader: &mut ChunkReader,
    (wanted, tables): (Wanted<'_>, &[TableRows]),
    monitor: &Monitor<'_>,
) -> Result<Vec<String>, Error> {
    let Dump::Tables(files) = &saved.dump else { return Ok(Vec::new()) };
    let failed = |error| reading_error(error, monitor);
    let (maintenance, _) = maintenance(connection, monitor.cancel())?;
    let all: Vec<(&str, &[String])> = files
        .index
        .all_tables()
        .filter(|(table, ..)| wanted.has(table))
        .map(|(table, columns, _)| (table, columns))
        .collect();
    let options = ReplaceOptions { encoding: &saved.facts.dump_encoding, trusts_code };
    let mut replacer = RowReplacer::open((connection.clone(), maintenance), &all, options, monitor)?;
    let mut replace = || {
        let names =
            tables.iter().map(|table| table_name(&table.table)).collect::<Result<Vec<String>, postgres::Error>>()?;
        replacer.lock(&names, monitor).map_err(failed)?;
        // Whoever owns a schema could have put a table of his into the place of another one until then.
        check_owners(connection, saved, (&mut *reader, tables), monitor)?;
        let deletions = names.iter().map(|table| format!("DELETE FROM ONLY {table};\n")).collect::<Vec<_>>().concat();
        replacer.session().statements(&deletions).map_err(failed)?;
        write_rows(replacer.session(), saved, (reader, wanted), monitor)?;
        checks(tables).map_err(Error::from)
    };
    match replace() {
        Ok(checks) => replacer.end(&checks, monitor).map_err(failed),
        Err(error) => {
            replacer.discard();
            Err(error)
        }
    }
}

/// Writes the wanted rows into tables that are empty.
pub(super) fn write_rows(
    session: &mut RowSession<'_>,
    saved: &SavedDatabase<'_>,
    (reader, wanted): (&mut ChunkReader, Wanted<'_>),
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let Dump::Tables(files) = &saved.dump else { return Ok(()) };
    let failed = |error| reading_error(error, monitor);
    for table in files.index.tables.iter().filter(|table| wanted.has(&table.table)) {
        let rows = Counted::new(Segment::whole(files.rows(table)?), reader, monitor);
        let mut rows: Box<dyn Read + '_> = if wanted.mask.is_some() {
            Box::new(Filtered::rows(rows, wanted, &table.table, &table.columns).map_err(Error::Refused)?)
        } else {
            Box::new(rows)
        };
        session.rows((&table.table, &table.columns), &mut rows).map_err(failed)?;
    }
    let others = Counted::new(files.statements(&files.index.others)?, reader, monitor);
    session.rows_of_script(&mut Filtered::script(others, wanted)).map_err(failed)
}

/// Statements of PL/pgSQL that fail when the rows are not those of the snapshot, or do not fit to those of other tables. Each may
/// run code of the owner of a table.
fn checks(tables: &[TableRows]) -> Result<String, postgres::Error> {
    let names = tables.iter().map(|table| Ok(literal(&table_name(&table.table)?)));
    let names: Vec<String> = names.collect::<Result<_, postgres::Error>>()?;
    let references = CHECK_SQL.replace(":TABLES", &format!("ARRAY[{}]", names.join(", "))).replace(":SETTLE", SETTLE);
    Ok(format!("{}{SETTLE} {references}\n", counts(tables)?))
}

/// Statements of PL/pgSQL that fail when there are not as many rows as in the snapshot. Each may run code of the owner of a table.
pub(super) fn counts(tables: &[TableRows]) -> Result<String, postgres::Error> {
    let count = |TableRows { table, rows }: &TableRows| {
        Ok(format!(
            "DECLARE found bigint; BEGIN SELECT count(*) FROM ONLY {} INTO found; IF found <> {rows} THEN
                RAISE EXCEPTION '% has % rows where the snapshot has {rows}', {}, found; END IF; END;",
            table_name(table)?,
            literal(table)
        ))
    };
    let bodies: Vec<String> = tables.iter().map(count).collect::<Result<_, postgres::Error>>()?;
    Ok(bodies.iter().map(|body| format!("{SETTLE} {body}\n")).collect::<Vec<_>>().concat())
}
