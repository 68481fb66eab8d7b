-- Everything of a database that must come back, as text: one line for each table, sequence, setting and so on.
SET search_path = pg_catalog;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT format('SELECT %L, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text)) FROM ONLY %I.%I AS t',
        'rows ' || nspname || '.' || relname, nspname, relname)
    FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'm', 'v') AND relispopulated AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1 \gexec
SELECT 'large object', oid, pg_get_userbyid(lomowner), md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 2;
SELECT 'sequence', schemaname, sequencename, last_value, increment_by FROM pg_sequences ORDER BY 2, 3;
SELECT 'relation', oid::regclass::text, relkind, pg_get_userbyid(relowner), relacl, obj_description(oid) FROM pg_class
    WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 2;
SELECT 'column', attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND NOT attisdropped
    AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 2, 3;
SELECT 'constraint', conrelid::regclass::text, conname, md5(pg_get_constraintdef(oid)) FROM pg_constraint
    WHERE connamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema') ORDER BY 2, 3;
SELECT 'index', schemaname, indexname, md5(indexdef) FROM pg_indexes WHERE schemaname <> 'pg_catalog' ORDER BY 2, 3;
SELECT 'function', oid::regprocedure::text, md5(prosrc) FROM pg_proc WHERE pronamespace::regnamespace::text = 'public' ORDER BY 2;
SELECT 'trigger', tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 2, 3;
SELECT 'view', schemaname, viewname, md5(definition) FROM pg_views
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 2, 3;
SELECT 'extension', extname, extversion FROM pg_extension ORDER BY 2;
SELECT 'schema', nspname, pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 2;
