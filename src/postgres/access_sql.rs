//! The queries for whose code runs when a database is loaded.

/// One row of JSON for each table: its owner, and the roles whose code runs when rows are loaded into it, where they are no
/// superusers and not the one who asks. All expressions count, also those that call only what the server brings along: some of
/// that reads files or runs what it is given.
const TABLES_SQL: &str = "WITH RECURSIVE trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), tables AS (
    SELECT c.oid, c.relowner, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), above AS (
    SELECT oid AS part, oid AS whole FROM tables
    UNION SELECT a.part, i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.whole
), first_types AS (
    SELECT a.attrelid AS tab, a.atttypid AS typ FROM pg_catalog.pg_attribute a JOIN tables t ON t.oid = a.attrelid
        WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT t.oid, d.refobjid FROM tables t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    UNION SELECT t.oid, d.refobjid FROM tables t JOIN pg_catalog.pg_attrdef f ON f.adrelid = t.oid JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
), types AS (
    SELECT tab, typ FROM first_types
    UNION SELECT types.tab, part.typ FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ CROSS JOIN LATERAL (
        SELECT y.typbasetype AS typ WHERE y.typtype = 'd'
        UNION ALL SELECT y.typelem WHERE y.typelem <> 0
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = y.oid
        UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = y.oid
    ) AS part WHERE part.typ <> 0
), code AS (
    -- What is run, as the catalogue has it, with the role that has written it.
    SELECT t.oid AS tab, false AS is_of_type, t.relowner AS author, 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AS class, c.oid AS object
        FROM tables t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid AND c.contype = 'c'
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
        FROM tables t JOIN pg_catalog.pg_attrdef d ON d.adrelid = t.oid JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.adnum
        WHERE coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> ''
    UNION ALL SELECT types.tab, true, y.typowner, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid
        FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ JOIN pg_catalog.pg_constraint c ON c.contypid = y.oid
    -- Whoever owns a domain or a composite type can give it a check at any time.
    UNION ALL SELECT types.tab, true, y.typowner, 'pg_catalog.pg_type'::pg_catalog.regclass, y.oid
        FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ WHERE y.typtype IN ('d', 'c')
    UNION ALL SELECT types.tab, true, f.proowner, 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid
        FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ JOIN pg_catalog.pg_proc f ON f.oid IN (y.typinput, y.typmodin)
    UNION ALL SELECT types.tab, true, f.proowner, 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid
        FROM types JOIN pg_catalog.pg_range r ON r.rngtypid = types.typ JOIN pg_catalog.pg_proc f ON f.oid IN (r.rngsubdiff, r.rngcanonical)
    UNION ALL SELECT a.part, false, c.relowner, 'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid
        FROM above a JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.whole JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
        WHERE p.partexprs IS NOT NULL
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid
        FROM tables t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND :HAS_TRIGGERS
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid
        FROM tables t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid
        FROM tables t JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = t.oid WHERE pg_catalog.to_jsonb(s) ->> 'stxexprs' IS NOT NULL
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid
        FROM tables t JOIN pg_catalog.pg_rewrite w ON w.ev_class = t.oid
), casts AS (
    SELECT DISTINCT f.proowner AS author FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
        WHERE f.proowner NOT IN (SELECT oid FROM trusted)
), casting AS (
    -- A cast that was made later is used when an expression is read again, and when the body of a function is: that is not known.
    SELECT code.tab, f.proowner AS author FROM code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid JOIN pg_catalog.pg_cast c ON c.castfunc = f.oid
    UNION SELECT types.tab, f.proowner FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ AND y.typowner NOT IN (SELECT oid FROM trusted)
        JOIN pg_catalog.pg_cast c ON y.oid IN (c.castsource, c.casttarget) JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
        WHERE types.tab IN (SELECT code.tab FROM code WHERE NOT code.is_of_type)
    UNION SELECT code.tab, casts.author FROM casts CROSS JOIN code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid JOIN pg_catalog.pg_language l ON l.oid = f.prolang
        WHERE l.lanname NOT IN ('internal', 'c')
), compared AS (
    -- Rows that refer to others are compared with them by a query, which casts what it has to.
    SELECT CASE n WHEN 1 THEN c.conrelid ELSE c.confrelid END AS tab FROM pg_catalog.pg_constraint c CROSS JOIN pg_catalog.generate_series(1, 2) AS n
        CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey), pg_catalog.unnest(c.conpfeqop)) AS k (x, y, z)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x JOIN pg_catalog.pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.y
        JOIN pg_catalog.pg_type s ON s.oid = a.atttypid JOIN pg_catalog.pg_type r ON r.oid = b.atttypid
        JOIN pg_catalog.pg_operator o ON o.oid = k.z JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode
        WHERE c.contype = 'f' AND NOT (s.typowner IN (SELECT oid FROM trusted) AND r.typowner IN (SELECT oid FROM trusted) AND f.proowner IN (SELECT oid FROM trusted))
), reached AS (
    -- Through whatever belongs to whom: an operator, an aggregate or a body that is parsed calls what it is made of.
    SELECT code.class AS code_class, code.object AS code_object, d.refclassid AS class, d.refobjid AS oid FROM code
        JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object :REACHES
    UNION SELECT r.code_class, r.code_object, more.class, more.oid FROM reached r CROSS JOIN LATERAL (
        SELECT d.refclassid AS class, d.refobjid AS oid FROM pg_catalog.pg_depend d WHERE d.classid = r.class AND d.objid = r.oid :REACHES
        UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint k
            WHERE r.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND k.contypid = r.oid
    ) AS more
), called AS (
    SELECT code.tab, code.is_of_type AS is_called, code.author FROM code
    UNION ALL SELECT tab, true, author FROM casting
    UNION ALL SELECT code.tab, true, f.proowner FROM code JOIN reached r ON r.code_class = code.class AND r.code_object = code.object
            AND r.class = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc f ON f.oid = r.oid
), authors AS MATERIALIZED (
    -- Each is gathered once for all tables: there may be thousands.
    SELECT tab, pg_catalog.json_agg(DISTINCT pg_catalog.pg_get_userbyid(author)) AS names, bool_or(is_called) AS calls
        FROM called WHERE author NOT IN (SELECT oid FROM trusted) GROUP BY tab
), defaults AS MATERIALIZED (
    SELECT a.attrelid AS tab, pg_catalog.json_agg(a.attname) AS names FROM pg_catalog.pg_attribute a
        WHERE a.atthasdef AND NOT a.attisdropped AND coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') = '' GROUP BY a.attrelid
)
SELECT pg_catalog.json_build_object('schema', t.nspname, 'name', t.relname,
    'owner', CASE WHEN t.relowner NOT IN (SELECT oid FROM trusted)
            AND (t.oid, t.relowner) NOT IN (SELECT c.tab, o.relowner FROM casting c JOIN tables o ON o.oid = c.tab
                WHERE c.author <> o.relowner AND c.author NOT IN (SELECT oid FROM trusted))
        THEN pg_catalog.pg_get_userbyid(t.relowner) END,
    'authors', coalesce(authors.names, '[]'),
    'is_foreign', t.oid IN (SELECT a.whole FROM above a JOIN pg_catalog.pg_class f ON f.oid = a.part WHERE f.relkind = 'f'),
    'compares', t.oid IN (SELECT tab FROM compared),
    'has_types_of_others', t.oid IN (SELECT types.tab FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ
        WHERE y.typowner NOT IN (SELECT oid FROM trusted)),
    'calls', coalesce(authors.calls, false),
    'defaults', coalesce(defaults.names, '[]'))
FROM tables t LEFT JOIN authors ON authors.tab = t.oid LEFT JOIN defaults ON defaults.tab = t.oid";

/// One row of JSON with what else of the database belongs to roles that are no superusers and not the one who asks.
pub(super) const OTHERS_SQL: &str = "WITH trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
)
SELECT pg_catalog.json_build_object(
    'is_superuser', (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER),
    'domains', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, y.typname, pg_catalog.pg_get_userbyid(y.typowner)))
        FROM pg_catalog.pg_type y JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace
        WHERE y.typtype = 'd' AND y.typowner NOT IN (SELECT oid FROM trusted)), '[]'),
    'has_functions', EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proowner NOT IN (SELECT oid FROM trusted)),
    'has_casts', EXISTS (SELECT FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
        WHERE f.proowner NOT IN (SELECT oid FROM trusted)))";

/// Materialized views of superusers, and of the one who asks, that read views or call functions of others, with one of those.
const VIEWS_SQL: &str = "WITH RECURSIVE trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), reads AS (
    SELECT c.oid AS view, c.oid AS part FROM pg_catalog.pg_class c WHERE c.relkind = 'm' AND c.relowner IN (SELECT oid FROM trusted)
    UNION SELECT reads.view, more.part FROM reads CROSS JOIN LATERAL (
        SELECT d.refobjid AS part FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
            ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            WHERE w.ev_class = reads.part
        UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = reads.part
    ) AS more
), reached AS (
    SELECT w.oid AS code, d.refclassid AS class, d.refobjid AS oid FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.part
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid :REACHES
    UNION SELECT r.code, more.class, more.oid FROM reached r CROSS JOIN LATERAL (
        SELECT d.refclassid AS class, d.refobjid AS oid FROM pg_catalog.pg_depend d WHERE d.classid = r.class AND d.objid = r.oid :REACHES
        UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint k
            WHERE r.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND k.contypid = r.oid
    ) AS more
), others AS (
    -- Whoever owns a foreign table, or its server, says where that is, and so what runs there as whoever reads it.
    SELECT reads.view, maker.author FROM reads JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = reads.part
        JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid
        CROSS JOIN LATERAL (VALUES (c.relowner), (s.srvowner)) AS maker (author)
    UNION ALL
    SELECT reads.view, c.relowner AS author FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.part WHERE c.relkind IN ('v', 'm')
    -- What is constant in the key of a partitioned table is run when a query on it is planned.
    UNION ALL SELECT reads.view, c.relowner FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.part
        JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid WHERE p.partexprs IS NOT NULL
    UNION ALL SELECT reads.view, f.proowner FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.part
        JOIN reached r ON r.code = w.oid AND r.class = 'pg_catalog.pg_proc'::pg_catalog.regclass JOIN pg_catalog.pg_proc f ON f.oid = r.oid
    UNION ALL SELECT reads.view, g.proowner FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.part JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        JOIN pg_catalog.pg_proc f ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.refobjid
        JOIN pg_catalog.pg_language l ON l.oid = f.prolang AND l.lanname NOT IN ('internal', 'c')
        CROSS JOIN pg_catalog.pg_cast c JOIN pg_catalog.pg_proc g ON g.oid = c.castfunc
    UNION ALL SELECT reads.view, o.oprowner FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.part JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
)
SELECT DISTINCT pg_catalog.format('%s.%s (code of %s)', n.nspname, c.relname, pg_catalog.pg_get_userbyid(others.author))
    FROM others JOIN pg_catalog.pg_class c ON c.oid = others.view JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE others.author NOT IN (SELECT oid FROM trusted)";

/// What is followed from one thing that is called to the next; the server's own calls nothing of others.
const REACHES: &str = "AND d.refobjid >= 16384 AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass,
    'pg_catalog.pg_type'::pg_catalog.regclass)";

/// The query for tables. With `has_triggers`, what triggers run counts too.
pub(super) fn tables_sql(has_triggers: bool) -> String {
    TABLES_SQL.replace(":REACHES", REACHES).replace(":HAS_TRIGGERS", &has_triggers.to_string())
}

/// The query for materialized views.
pub(super) fn views_sql() -> String {
    VIEWS_SQL.replace(":REACHES", REACHES)
}
