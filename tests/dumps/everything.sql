--
-- PostgreSQL database dump
--

\restrict uUbzCRBgohlq4hzBwkHDWjiGSfHlDkeoCjpamj9He2eKjb888ALSjHYTok2e1cJ

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

DROP EVENT TRIGGER IF EXISTS watch;
DROP SUBSCRIPTION IF EXISTS sub;
DROP PUBLICATION IF EXISTS pub;
DROP PUBLICATION IF EXISTS ins;
DROP PUBLICATION IF EXISTS everything;
DROP POLICY IF EXISTS own ON s.items;
DROP POLICY IF EXISTS ins ON s.items;
ALTER TABLE IF EXISTS ONLY s.refs DROP CONSTRAINT IF EXISTS refs_item_fkey;
DROP TRIGGER IF EXISTS t3 ON s.log;
DROP TRIGGER IF EXISTS t2 ON s.refs;
DROP TRIGGER IF EXISTS t1 ON s.items;
DROP RULE IF EXISTS nodel ON s.log;
DROP RULE IF EXISTS ins ON s.v;
CREATE OR REPLACE VIEW s.late AS
SELECT
    NULL::bigint AS id,
    NULL::character varying(50) COLLATE pg_catalog."C" AS name;
DROP STATISTICS IF EXISTS s.st2;
DROP STATISTICS IF EXISTS s.st;
DROP INDEX IF EXISTS s.refs_x_item_idx;
DROP INDEX IF EXISTS s.parts_i;
DROP INDEX IF EXISTS s.mv_mood_idx;
DROP INDEX IF EXISTS s.items_trgm;
DROP INDEX IF EXISTS s.items_lower;
DROP INDEX IF EXISTS s.items_gist;
DROP INDEX IF EXISTS s.items_fts;
DROP INDEX IF EXISTS s.items_add;
ALTER TABLE IF EXISTS ONLY s.typed DROP CONSTRAINT IF EXISTS typed_pkey;
ALTER TABLE IF EXISTS ONLY s.refs DROP CONSTRAINT IF EXISTS refs_pkey;
ALTER TABLE IF EXISTS ONLY s.items DROP CONSTRAINT IF EXISTS items_span_excl;
ALTER TABLE IF EXISTS ONLY s.items DROP CONSTRAINT IF EXISTS items_pkey;
ALTER TABLE IF EXISTS ONLY s.items DROP CONSTRAINT IF EXISTS items_name_price_key;
SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '4242';
ALTER TABLE IF EXISTS s.refs ALTER COLUMN id DROP DEFAULT;
ALTER TABLE IF EXISTS s.child ALTER COLUMN u DROP DEFAULT;
ALTER TABLE IF EXISTS s.child ALTER COLUMN day DROP DEFAULT;
ALTER TABLE IF EXISTS s.child ALTER COLUMN at DROP DEFAULT;
ALTER TABLE IF EXISTS s.child ALTER COLUMN mood DROP DEFAULT;
ALTER TABLE IF EXISTS s.child ALTER COLUMN name DROP DEFAULT;
ALTER TABLE IF EXISTS s.checked ALTER COLUMN n DROP DEFAULT;
DROP VIEW IF EXISTS s.vals;
DROP VIEW IF EXISTS s.v;
DROP TABLE IF EXISTS s.unlogged;
DROP TABLE IF EXISTS s.typed;
DROP SEQUENCE IF EXISTS s.seq;
DROP SEQUENCE IF EXISTS s.refs_id_seq;
DROP TABLE IF EXISTS s.refs;
DROP TABLE IF EXISTS s.parts_d;
DROP TABLE IF EXISTS s.parts_1;
DROP TABLE IF EXISTS s.parts;
DROP SEQUENCE IF EXISTS s.owned;
DROP TABLE IF EXISTS s."none";
DROP MATERIALIZED VIEW IF EXISTS s.mv;
DROP TABLE IF EXISTS s.lists_1;
DROP TABLE IF EXISTS s.lists;
DROP VIEW IF EXISTS s.late;
DROP TABLE IF EXISTS s.hashed_1;
DROP TABLE IF EXISTS s.hashed;
DROP TABLE IF EXISTS s.floats;
DROP FOREIGN TABLE IF EXISTS s.far;
DROP VIEW IF EXISTS s.cte;
DROP TABLE IF EXISTS s.child;
DROP TABLE IF EXISTS s.items;
DROP VIEW IF EXISTS s.checked;
DROP TABLE IF EXISTS s.am;
DROP USER MAPPING IF EXISTS FOR writer SERVER srv;
DROP USER MAPPING IF EXISTS FOR public SERVER srv;
DROP SERVER IF EXISTS srv;
DROP FOREIGN DATA WRAPPER IF EXISTS fdw;
DROP TEXT SEARCH CONFIGURATION IF EXISTS s.conf;
DROP TEXT SEARCH DICTIONARY IF EXISTS s.dict;
DROP TEXT SEARCH TEMPLATE IF EXISTS s.tmpl;
DROP TEXT SEARCH PARSER IF EXISTS s.prs;
DROP CONVERSION IF EXISTS s.conv;
DROP OPERATOR FAMILY IF EXISTS s.fam USING btree;
DROP OPERATOR CLASS IF EXISTS s.cls USING btree;
DROP OPERATOR FAMILY IF EXISTS s.cls USING btree;
DROP OPERATOR IF EXISTS s.=== (integer, integer);
DROP ACCESS METHOD IF EXISTS heap2;
DROP AGGREGATE IF EXISTS s.total(integer);
DROP FUNCTION IF EXISTS s.trg();
DROP FUNCTION IF EXISTS s.tabled(OUT a integer, OUT b text);
DROP FUNCTION IF EXISTS s."returning"(x integer);
DROP PROCEDURE IF EXISTS s.proc2(IN x integer);
DROP TABLE IF EXISTS s.log;
DROP PROCEDURE IF EXISTS s.proc(INOUT x integer);
DROP FUNCTION IF EXISTS s.evt();
DROP FUNCTION IF EXISTS s.atomic(x integer);
DROP FUNCTION IF EXISTS s.add(a integer, b integer);
DROP CAST IF EXISTS (s.mood AS integer);
DROP CAST IF EXISTS (integer AS s.pair);
DROP FUNCTION IF EXISTS s.to_pair(integer);
DROP TYPE IF EXISTS s.span;
DROP TYPE IF EXISTS s.shell;
DROP DOMAIN IF EXISTS s.positive;
DROP TYPE IF EXISTS s.pair;
DROP TYPE IF EXISTS s.mood;
DROP TYPE IF EXISTS s.base CASCADE;
DROP FUNCTION IF EXISTS s.base_out(s.base);
DROP FUNCTION IF EXISTS s.base_in(cstring);
DROP EXTENSION IF EXISTS "uuid-ossp";
DROP EXTENSION IF EXISTS pg_trgm;
DROP EXTENSION IF EXISTS file_fdw;
DROP EXTENSION IF EXISTS citext;
DROP EXTENSION IF EXISTS btree_gist;
DROP TRANSFORM IF EXISTS FOR public.hstore LANGUAGE sql;
DROP EXTENSION IF EXISTS hstore;
DROP COLLATION IF EXISTS s.loose;
DROP PROCEDURAL LANGUAGE IF EXISTS lang;
DROP SCHEMA IF EXISTS s;
-- *not* dropping schema, since initdb creates it
--
-- Name: public; Type: SCHEMA; Schema: -; Owner: writer
--

-- *not* creating schema, since initdb creates it


ALTER SCHEMA public OWNER TO writer;

--
-- Name: s; Type: SCHEMA; Schema: -; Owner: writer
--

CREATE SCHEMA s;


ALTER SCHEMA s OWNER TO writer;

--
-- Name: SCHEMA s; Type: COMMENT; Schema: -; Owner: writer
--

COMMENT ON SCHEMA s IS 'it''s s';


--
-- Name: lang; Type: PROCEDURAL LANGUAGE; Schema: -; Owner: postgres
--

CREATE OR REPLACE PROCEDURAL LANGUAGE lang;


ALTER PROCEDURAL LANGUAGE lang OWNER TO postgres;

--
-- Name: loose; Type: COLLATION; Schema: s; Owner: postgres
--

CREATE COLLATION s.loose (provider = icu, deterministic = false, locale = 'de-u-ks-level2');


ALTER COLLATION s.loose OWNER TO postgres;

--
-- Name: hstore; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;


--
-- Name: EXTENSION hstore; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION hstore IS 'data type for storing sets of (key, value) pairs';


--
-- Name: TRANSFORM FOR public.hstore LANGUAGE sql; Type: TRANSFORM; Schema: -; Owner: -
--

CREATE TRANSFORM FOR public.hstore LANGUAGE sql (FROM SQL WITH FUNCTION pg_catalog.prsd_lextype(internal));


--
-- Name: btree_gist; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;


--
-- Name: EXTENSION btree_gist; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION btree_gist IS 'support for indexing common datatypes in GiST';


--
-- Name: citext; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;


--
-- Name: EXTENSION citext; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION citext IS 'data type for case-insensitive character strings';


--
-- Name: file_fdw; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS file_fdw WITH SCHEMA public;


--
-- Name: EXTENSION file_fdw; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION file_fdw IS 'foreign-data wrapper for flat file access';


--
-- Name: pg_trgm; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;


--
-- Name: EXTENSION pg_trgm; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';


--
-- Name: uuid-ossp; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;


--
-- Name: EXTENSION "uuid-ossp"; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION "uuid-ossp" IS 'generate universally unique identifiers (UUIDs)';


--
-- Name: base; Type: SHELL TYPE; Schema: s; Owner: postgres
--

CREATE TYPE s.base;


--
-- Name: base_in(cstring); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.base_in(cstring) RETURNS s.base
    LANGUAGE internal IMMUTABLE STRICT
    AS $$textin$$;


ALTER FUNCTION s.base_in(cstring) OWNER TO postgres;

--
-- Name: base_out(s.base); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.base_out(s.base) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT
    AS $$textout$$;


ALTER FUNCTION s.base_out(s.base) OWNER TO postgres;

--
-- Name: base; Type: TYPE; Schema: s; Owner: postgres
--

CREATE TYPE s.base (
    INTERNALLENGTH = variable,
    INPUT = s.base_in,
    OUTPUT = s.base_out,
    ALIGNMENT = int4,
    STORAGE = extended
);


ALTER TYPE s.base OWNER TO postgres;

--
-- Name: mood; Type: TYPE; Schema: s; Owner: postgres
--

CREATE TYPE s.mood AS ENUM (
    'calm',
    'it''s odd'
);


ALTER TYPE s.mood OWNER TO postgres;

--
-- Name: pair; Type: TYPE; Schema: s; Owner: postgres
--

CREATE TYPE s.pair AS (
	a integer,
	b numeric(5,2)
);


ALTER TYPE s.pair OWNER TO postgres;

--
-- Name: positive; Type: DOMAIN; Schema: s; Owner: postgres
--

CREATE DOMAIN s.positive AS integer DEFAULT 1
	CONSTRAINT p CHECK ((VALUE > 0));


ALTER DOMAIN s.positive OWNER TO postgres;

--
-- Name: shell; Type: TYPE; Schema: s; Owner: postgres
--

CREATE TYPE s.shell;


ALTER TYPE s.shell OWNER TO postgres;

--
-- Name: span; Type: TYPE; Schema: s; Owner: postgres
--

CREATE TYPE s.span AS RANGE (
    subtype = double precision,
    multirange_type_name = s.span_multirange,
    subtype_diff = float8mi
);


ALTER TYPE s.span OWNER TO postgres;

--
-- Name: to_pair(integer); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.to_pair(integer) RETURNS s.pair
    LANGUAGE sql IMMUTABLE
    AS $_$SELECT ($1, 0)::s.pair$_$;


ALTER FUNCTION s.to_pair(integer) OWNER TO postgres;

--
-- Name: CAST (integer AS s.pair); Type: CAST; Schema: -; Owner: -
--

CREATE CAST (integer AS s.pair) WITH FUNCTION s.to_pair(integer) AS ASSIGNMENT;


--
-- Name: CAST (integer AS s.pair); Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON CAST (integer AS s.pair) IS 'cast';


--
-- Name: CAST (s.mood AS integer); Type: CAST; Schema: -; Owner: -
--

CREATE CAST (s.mood AS integer) WITH INOUT;


--
-- Name: add(integer, integer); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.add(a integer, b integer DEFAULT 2) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $_$ SELECT $1 + $2; $_$;


ALTER FUNCTION s.add(a integer, b integer) OWNER TO postgres;

--
-- Name: FUNCTION add(a integer, b integer); Type: COMMENT; Schema: s; Owner: postgres
--

COMMENT ON FUNCTION s.add(a integer, b integer) IS 'DROP DATABASE x;';


--
-- Name: atomic(integer); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.atomic(x integer) RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT 1;
 SELECT
         CASE
             WHEN (x > 1) THEN 2
             ELSE 3
         END AS "end";
END;


ALTER FUNCTION s.atomic(x integer) OWNER TO postgres;

--
-- Name: evt(); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.evt() RETURNS event_trigger
    LANGUAGE plpgsql
    AS $$ BEGIN END $$;


ALTER FUNCTION s.evt() OWNER TO postgres;

--
-- Name: proc(integer); Type: PROCEDURE; Schema: s; Owner: postgres
--

CREATE PROCEDURE s.proc(INOUT x integer)
    LANGUAGE plpgsql
    AS $$ BEGIN COMMIT; x := 2; END $$;


ALTER PROCEDURE s.proc(INOUT x integer) OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: log; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.log (
    n integer
);


ALTER TABLE s.log OWNER TO postgres;

--
-- Name: proc2(integer); Type: PROCEDURE; Schema: s; Owner: postgres
--

CREATE PROCEDURE s.proc2(IN x integer)
    LANGUAGE sql
    BEGIN ATOMIC
 INSERT INTO s.log (n)
   VALUES (1);
 INSERT INTO s.log (n)  SELECT 2;
END;


ALTER PROCEDURE s.proc2(IN x integer) OWNER TO postgres;

--
-- Name: returning(integer); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s."returning"(x integer) RETURNS integer
    LANGUAGE sql
    RETURN (x + 1);


ALTER FUNCTION s."returning"(x integer) OWNER TO postgres;

--
-- Name: tabled(); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.tabled(OUT a integer, OUT b text) RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER COST 5
    SET search_path TO 's', 'pg_temp'
    AS $$ BEGIN RETURN; END $$;


ALTER FUNCTION s.tabled(OUT a integer, OUT b text) OWNER TO postgres;

--
-- Name: trg(); Type: FUNCTION; Schema: s; Owner: postgres
--

CREATE FUNCTION s.trg() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RETURN NEW; END $$;


ALTER FUNCTION s.trg() OWNER TO postgres;

--
-- Name: total(integer); Type: AGGREGATE; Schema: s; Owner: postgres
--

CREATE AGGREGATE s.total(integer) (
    SFUNC = s.add,
    STYPE = integer,
    INITCOND = '0'
);


ALTER AGGREGATE s.total(integer) OWNER TO postgres;

--
-- Name: AGGREGATE total(integer); Type: COMMENT; Schema: s; Owner: postgres
--

COMMENT ON AGGREGATE s.total(integer) IS 'agg';


--
-- Name: heap2; Type: ACCESS METHOD; Schema: -; Owner: -
--

CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;


--
-- Name: ===; Type: OPERATOR; Schema: s; Owner: postgres
--

CREATE OPERATOR s.=== (
    FUNCTION = s.add,
    LEFTARG = integer,
    RIGHTARG = integer,
    COMMUTATOR = OPERATOR(s.===)
);


ALTER OPERATOR s.=== (integer, integer) OWNER TO postgres;

--
-- Name: OPERATOR === (integer, integer); Type: COMMENT; Schema: s; Owner: postgres
--

COMMENT ON OPERATOR s.=== (integer, integer) IS 'op';


--
-- Name: cls; Type: OPERATOR FAMILY; Schema: s; Owner: postgres
--

CREATE OPERATOR FAMILY s.cls USING btree;
ALTER OPERATOR FAMILY s.cls USING btree ADD
    OPERATOR 1 <(integer,integer) ,
    FUNCTION 1 (integer, integer) btint4cmp(integer,integer);


ALTER OPERATOR FAMILY s.cls USING btree OWNER TO postgres;

--
-- Name: cls; Type: OPERATOR CLASS; Schema: s; Owner: postgres
--

CREATE OPERATOR CLASS s.cls
    FOR TYPE s.positive USING btree FAMILY s.cls AS
    STORAGE s.positive;


ALTER OPERATOR CLASS s.cls USING btree OWNER TO postgres;

--
-- Name: fam; Type: OPERATOR FAMILY; Schema: s; Owner: postgres
--

CREATE OPERATOR FAMILY s.fam USING btree;


ALTER OPERATOR FAMILY s.fam USING btree OWNER TO postgres;

--
-- Name: conv; Type: CONVERSION; Schema: s; Owner: postgres
--

CREATE DEFAULT CONVERSION s.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;


ALTER CONVERSION s.conv OWNER TO postgres;

--
-- Name: prs; Type: TEXT SEARCH PARSER; Schema: s; Owner: -
--

CREATE TEXT SEARCH PARSER s.prs (
    START = prsd_start,
    GETTOKEN = prsd_nexttoken,
    END = prsd_end,
    LEXTYPES = prsd_lextype );


--
-- Name: tmpl; Type: TEXT SEARCH TEMPLATE; Schema: s; Owner: -
--

CREATE TEXT SEARCH TEMPLATE s.tmpl (
    INIT = dsimple_init,
    LEXIZE = dsimple_lexize );


--
-- Name: dict; Type: TEXT SEARCH DICTIONARY; Schema: s; Owner: postgres
--

CREATE TEXT SEARCH DICTIONARY s.dict (
    TEMPLATE = pg_catalog.simple,
    stopwords = 'english' );


ALTER TEXT SEARCH DICTIONARY s.dict OWNER TO postgres;

--
-- Name: conf; Type: TEXT SEARCH CONFIGURATION; Schema: s; Owner: postgres
--

CREATE TEXT SEARCH CONFIGURATION s.conf (
    PARSER = pg_catalog."default" );

ALTER TEXT SEARCH CONFIGURATION s.conf
    ADD MAPPING FOR asciiword WITH s.dict, simple;

ALTER TEXT SEARCH CONFIGURATION s.conf
    ADD MAPPING FOR word WITH s.dict, simple;


ALTER TEXT SEARCH CONFIGURATION s.conf OWNER TO postgres;

--
-- Name: fdw; Type: FOREIGN DATA WRAPPER; Schema: -; Owner: postgres
--

CREATE FOREIGN DATA WRAPPER fdw OPTIONS (
    a 'b'
);


ALTER FOREIGN DATA WRAPPER fdw OWNER TO postgres;

--
-- Name: srv; Type: SERVER; Schema: -; Owner: postgres
--

CREATE SERVER srv VERSION '1' FOREIGN DATA WRAPPER fdw OPTIONS (
    host 'x'
);


ALTER SERVER srv OWNER TO postgres;

--
-- Name: USER MAPPING public SERVER srv; Type: USER MAPPING; Schema: -; Owner: postgres
--

CREATE USER MAPPING FOR public SERVER srv;


--
-- Name: USER MAPPING writer SERVER srv; Type: USER MAPPING; Schema: -; Owner: postgres
--

CREATE USER MAPPING FOR writer SERVER srv OPTIONS (
    "user" 'u'
);


SET default_table_access_method = heap2;

--
-- Name: am; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.am (
    id integer
);


ALTER TABLE s.am OWNER TO postgres;

--
-- Name: checked; Type: VIEW; Schema: s; Owner: postgres
--

CREATE VIEW s.checked WITH (security_barrier='true') AS
 SELECT log.n
   FROM s.log
  WHERE (log.n > 0)
  WITH CASCADED CHECK OPTION;


ALTER TABLE s.checked OWNER TO postgres;

SET default_table_access_method = heap;

--
-- Name: items; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.items (
    id bigint NOT NULL,
    name character varying(50) DEFAULT 'x''y'::character varying NOT NULL COLLATE pg_catalog."C",
    price numeric(10,2),
    mood s.mood DEFAULT 'calm'::s.mood,
    doubled numeric GENERATED ALWAYS AS ((price * (2)::numeric)) STORED,
    at timestamp(3) with time zone DEFAULT now(),
    day date DEFAULT CURRENT_DATE,
    "select" text,
    "Ünï ""q""" text,
    bits bit(3),
    vb bit varying(5),
    iv interval(2),
    t time(0) without time zone,
    tags text[],
    span s.span,
    e public.hstore,
    u uuid DEFAULT public.uuid_generate_v4(),
    CONSTRAINT items_price_check CHECK ((price >= (0)::numeric)),
    CONSTRAINT odd CHECK (((length((name)::text) > 0) AND ((name)::text ~ '^[a-z]+$'::text) AND (mood = ANY (ARRAY['calm'::s.mood])))) NO INHERIT
)
WITH (fillfactor='70', autovacuum_enabled=off);
ALTER TABLE ONLY s.items ALTER COLUMN name SET STATISTICS 100;
ALTER TABLE ONLY s.items ALTER COLUMN name SET STORAGE EXTERNAL;
ALTER TABLE ONLY s.items ALTER COLUMN price SET (n_distinct=-0.5);

ALTER TABLE ONLY s.items FORCE ROW LEVEL SECURITY;


ALTER TABLE s.items OWNER TO postgres;

--
-- Name: COLUMN items.name; Type: COMMENT; Schema: s; Owner: postgres
--

COMMENT ON COLUMN s.items.name IS 'multi
line \ ';


--
-- Name: CONSTRAINT odd ON items; Type: COMMENT; Schema: s; Owner: postgres
--

COMMENT ON CONSTRAINT odd ON s.items IS 'c';


--
-- Name: child; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.child (
    more text
)
INHERITS (s.items);
ALTER TABLE ONLY s.child ALTER COLUMN name SET STORAGE EXTERNAL;


ALTER TABLE s.child OWNER TO postgres;

--
-- Name: cte; Type: VIEW; Schema: s; Owner: postgres
--

CREATE VIEW s.cte AS
 WITH RECURSIVE t(n) AS (
         SELECT 1 AS "?column?"
        UNION ALL
         SELECT (t_1.n + 1)
           FROM t t_1
          WHERE (t_1.n < 5)
        ), u(m) AS (
         SELECT 2 AS "?column?"
        )
 SELECT t.n,
    u.m
   FROM t,
    u;


ALTER TABLE s.cte OWNER TO postgres;

--
-- Name: far; Type: FOREIGN TABLE; Schema: s; Owner: postgres
--

CREATE FOREIGN TABLE s.far (
    a integer DEFAULT 3
)
SERVER srv
OPTIONS (
    t 'z'
);
ALTER FOREIGN TABLE s.far ALTER COLUMN a OPTIONS (
    x 'y'
);


ALTER FOREIGN TABLE s.far OWNER TO postgres;

--
-- Name: floats; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.floats (
    f double precision,
    r real,
    b boolean,
    x bytea,
    j jsonb,
    n numeric,
    path text
);


ALTER TABLE s.floats OWNER TO postgres;

--
-- Name: hashed; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.hashed (
    k integer
)
PARTITION BY HASH (k);


ALTER TABLE s.hashed OWNER TO postgres;

--
-- Name: hashed_1; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.hashed_1 (
    k integer
);


ALTER TABLE s.hashed_1 OWNER TO postgres;

--
-- Name: items_id_seq; Type: SEQUENCE; Schema: s; Owner: postgres
--

ALTER TABLE s.items ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME s.items_id_seq
    START WITH 5
    INCREMENT BY 3
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: late; Type: VIEW; Schema: s; Owner: postgres
--

CREATE VIEW s.late AS
SELECT
    NULL::bigint AS id,
    NULL::character varying(50) COLLATE pg_catalog."C" AS name;


ALTER TABLE s.late OWNER TO postgres;

--
-- Name: lists; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.lists (
    k s.mood
)
PARTITION BY LIST (k);


ALTER TABLE s.lists OWNER TO postgres;

--
-- Name: lists_1; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.lists_1 (
    k s.mood
);


ALTER TABLE s.lists_1 OWNER TO postgres;

--
-- Name: mv; Type: MATERIALIZED VIEW; Schema: s; Owner: postgres
--

CREATE MATERIALIZED VIEW s.mv AS
 SELECT items.mood,
    sum(items.price) AS total
   FROM s.items
  GROUP BY items.mood
  WITH NO DATA;


ALTER TABLE s.mv OWNER TO postgres;

--
-- Name: none; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s."none" (
);


ALTER TABLE s."none" OWNER TO postgres;

--
-- Name: owned; Type: SEQUENCE; Schema: s; Owner: postgres
--

CREATE SEQUENCE s.owned
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE s.owned OWNER TO postgres;

--
-- Name: owned; Type: SEQUENCE OWNED BY; Schema: s; Owner: postgres
--

ALTER SEQUENCE s.owned OWNED BY s.log.n;


--
-- Name: parts; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.parts (
    id integer,
    day date
)
PARTITION BY RANGE (day, ((id + 1)));


ALTER TABLE s.parts OWNER TO postgres;

--
-- Name: parts_1; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.parts_1 (
    id integer DEFAULT 7,
    day date
);


ALTER TABLE s.parts_1 OWNER TO postgres;

--
-- Name: parts_d; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.parts_d (
    id integer,
    day date
);


ALTER TABLE s.parts_d OWNER TO postgres;

--
-- Name: refs; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.refs (
    id integer NOT NULL,
    item bigint,
    x integer
);

ALTER TABLE ONLY s.refs REPLICA IDENTITY FULL;


ALTER TABLE s.refs OWNER TO postgres;

--
-- Name: refs_id_seq; Type: SEQUENCE; Schema: s; Owner: postgres
--

CREATE SEQUENCE s.refs_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE s.refs_id_seq OWNER TO postgres;

--
-- Name: refs_id_seq; Type: SEQUENCE OWNED BY; Schema: s; Owner: postgres
--

ALTER SEQUENCE s.refs_id_seq OWNED BY s.refs.id;


--
-- Name: seq; Type: SEQUENCE; Schema: s; Owner: postgres
--

CREATE SEQUENCE s.seq
    AS smallint
    START WITH -5
    INCREMENT BY 1
    MINVALUE -5
    MAXVALUE 10
    CACHE 2
    CYCLE;


ALTER TABLE s.seq OWNER TO postgres;

--
-- Name: typed; Type: TABLE; Schema: s; Owner: postgres
--

CREATE TABLE s.typed OF s.pair (
    a NOT NULL
);


ALTER TABLE s.typed OWNER TO postgres;

--
-- Name: unlogged; Type: TABLE; Schema: s; Owner: postgres
--

CREATE UNLOGGED TABLE s.unlogged (
    id integer
);


ALTER TABLE s.unlogged OWNER TO postgres;

--
-- Name: v; Type: VIEW; Schema: s; Owner: postgres
--

CREATE VIEW s.v AS
 SELECT i.id,
    i.name,
    count(*) OVER (PARTITION BY i.mood) AS n,
        CASE
            WHEN (i.price > (1)::numeric) THEN 'a'::text
            ELSE 'b'::text
        END AS c,
    EXTRACT(year FROM i.at) AS y,
    SUBSTRING(i.name FROM 1 FOR 2) AS sub,
    "left"((i.name)::text, 2) AS "left"
   FROM (s.items i
     LEFT JOIN s.refs r ON (((r.item = i.id) AND (s.add(r.x) > 0))))
  WHERE (EXISTS ( SELECT 1
           FROM s.log));


ALTER TABLE s.v OWNER TO postgres;

--
-- Name: vals; Type: VIEW; Schema: s; Owner: postgres
--

CREATE VIEW s.vals AS
 SELECT v.a,
    v.b
   FROM ( VALUES (1,'x'::text), (2,'y'::text)) v(a, b);


ALTER TABLE s.vals OWNER TO postgres;

--
-- Name: hashed_1; Type: TABLE ATTACH; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.hashed ATTACH PARTITION s.hashed_1 FOR VALUES WITH (modulus 2, remainder 0);


--
-- Name: lists_1; Type: TABLE ATTACH; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.lists ATTACH PARTITION s.lists_1 FOR VALUES IN ('calm');


--
-- Name: parts_1; Type: TABLE ATTACH; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.parts ATTACH PARTITION s.parts_1 FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2026-01-01', 5);


--
-- Name: parts_d; Type: TABLE ATTACH; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.parts ATTACH PARTITION s.parts_d DEFAULT;


--
-- Name: checked n; Type: DEFAULT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.checked ALTER COLUMN n SET DEFAULT 5;


--
-- Name: child name; Type: DEFAULT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.child ALTER COLUMN name SET DEFAULT 'x''y'::character varying;


--
-- Name: child mood; Type: DEFAULT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.child ALTER COLUMN mood SET DEFAULT 'calm'::s.mood;


--
-- Name: child at; Type: DEFAULT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.child ALTER COLUMN at SET DEFAULT now();


--
-- Name: child day; Type: DEFAULT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.child ALTER COLUMN day SET DEFAULT CURRENT_DATE;


--
-- Name: child u; Type: DEFAULT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.child ALTER COLUMN u SET DEFAULT public.uuid_generate_v4();


--
-- Name: refs id; Type: DEFAULT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.refs ALTER COLUMN id SET DEFAULT nextval('s.refs_id_seq'::regclass);


--
-- Name: 4242; Type: BLOB; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('4242');


ALTER LARGE OBJECT 4242 OWNER TO postgres;

--
-- Name: LARGE OBJECT 4242; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON LARGE OBJECT 4242 IS 'lo';


--
-- Data for Name: am; Type: TABLE DATA; Schema: s; Owner: postgres
--



--
-- Data for Name: child; Type: TABLE DATA; Schema: s; Owner: postgres
--



--
-- Data for Name: floats; Type: TABLE DATA; Schema: s; Owner: postgres
--

INSERT INTO s.floats VALUES (1e+300, -1e-20, true, '\x00ff', '{"a": "ä"}', 'NaN', 'C:\dir\');
INSERT INTO s.floats VALUES ('Infinity', 'NaN', false, NULL, 'null', 100000000000000000000000000000000000000000000000000, 'it''s');


--
-- Data for Name: hashed_1; Type: TABLE DATA; Schema: s; Owner: postgres
--



--
-- Data for Name: items; Type: TABLE DATA; Schema: s; Owner: postgres
--

INSERT INTO s.items VALUES (5, 'abc', 1.50, 'calm', DEFAULT, '2026-11-28 09:21:34.107+00', '2026-11-28', NULL, NULL, B'101', B'1', '1 day', '12:00:00', '{a,NULL,"{\"q\"}"}', '[1,2)', '"a"=>"1"', '44eb24e2-892a-4abe-9c5b-ec78871a3ae4');


--
-- Data for Name: lists_1; Type: TABLE DATA; Schema: s; Owner: postgres
--



--
-- Data for Name: log; Type: TABLE DATA; Schema: s; Owner: postgres
--

INSERT INTO s.log VALUES (1);
INSERT INTO s.log VALUES (-5);
INSERT INTO s.log VALUES (NULL);


--
-- Data for Name: none; Type: TABLE DATA; Schema: s; Owner: postgres
--

INSERT INTO s."none" DEFAULT VALUES;


--
-- Data for Name: parts_1; Type: TABLE DATA; Schema: s; Owner: postgres
--

INSERT INTO s.parts_1 VALUES (1, '2025-05-05');


--
-- Data for Name: parts_d; Type: TABLE DATA; Schema: s; Owner: postgres
--



--
-- Data for Name: refs; Type: TABLE DATA; Schema: s; Owner: postgres
--

INSERT INTO s.refs VALUES (1, 5, 1);
INSERT INTO s.refs VALUES (2, NULL, -2);


--
-- Data for Name: typed; Type: TABLE DATA; Schema: s; Owner: postgres
--



--
-- Data for Name: unlogged; Type: TABLE DATA; Schema: s; Owner: postgres
--



--
-- Name: items_id_seq; Type: SEQUENCE SET; Schema: s; Owner: postgres
--

SELECT pg_catalog.setval('s.items_id_seq', 5, true);


--
-- Name: owned; Type: SEQUENCE SET; Schema: s; Owner: postgres
--

SELECT pg_catalog.setval('s.owned', 1, false);


--
-- Name: refs_id_seq; Type: SEQUENCE SET; Schema: s; Owner: postgres
--

SELECT pg_catalog.setval('s.refs_id_seq', 2, true);


--
-- Name: seq; Type: SEQUENCE SET; Schema: s; Owner: postgres
--

SELECT pg_catalog.setval('s.seq', -4, true);


--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -
--

BEGIN;

SELECT pg_catalog.lo_open('4242', 131072);
SELECT pg_catalog.lowrite(0, '\x616263');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- Name: items items_name_price_key; Type: CONSTRAINT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.items
    ADD CONSTRAINT items_name_price_key UNIQUE (name) INCLUDE (price);


--
-- Name: items items_pkey; Type: CONSTRAINT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (id);

ALTER TABLE s.items CLUSTER ON items_pkey;


--
-- Name: items items_span_excl; Type: CONSTRAINT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.items
    ADD CONSTRAINT items_span_excl EXCLUDE USING gist (span WITH &&);


--
-- Name: refs refs_pkey; Type: CONSTRAINT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.refs
    ADD CONSTRAINT refs_pkey PRIMARY KEY (id);


--
-- Name: typed typed_pkey; Type: CONSTRAINT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.typed
    ADD CONSTRAINT typed_pkey PRIMARY KEY (a);


--
-- Name: items_add; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX items_add ON s.items USING btree (s.add((id)::integer));


--
-- Name: items_fts; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX items_fts ON s.items USING gin (to_tsvector('english'::regconfig, (COALESCE(name, ''::character varying))::text));


--
-- Name: items_gist; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX items_gist ON s.items USING gist (name public.gist_trgm_ops (siglen='32'));


--
-- Name: items_lower; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX items_lower ON s.items USING btree (lower((name)::text) varchar_pattern_ops DESC NULLS LAST) WHERE (price > (0)::numeric);


--
-- Name: items_trgm; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX items_trgm ON s.items USING gin (name public.gin_trgm_ops);


--
-- Name: mv_mood_idx; Type: INDEX; Schema: s; Owner: postgres
--

CREATE UNIQUE INDEX mv_mood_idx ON s.mv USING btree (mood);


--
-- Name: parts_i; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX parts_i ON ONLY s.parts USING btree (day);


--
-- Name: parts_1_day_idx; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX parts_1_day_idx ON s.parts_1 USING btree (day);


--
-- Name: parts_d_day_idx; Type: INDEX; Schema: s; Owner: postgres
--

CREATE INDEX parts_d_day_idx ON s.parts_d USING btree (day);


--
-- Name: refs_x_item_idx; Type: INDEX; Schema: s; Owner: postgres
--

CREATE UNIQUE INDEX refs_x_item_idx ON s.refs USING btree (x) INCLUDE (item) WITH (fillfactor='80');


--
-- Name: parts_1_day_idx; Type: INDEX ATTACH; Schema: s; Owner: postgres
--

ALTER INDEX s.parts_i ATTACH PARTITION s.parts_1_day_idx;


--
-- Name: parts_d_day_idx; Type: INDEX ATTACH; Schema: s; Owner: postgres
--

ALTER INDEX s.parts_i ATTACH PARTITION s.parts_d_day_idx;


--
-- Name: st; Type: STATISTICS; Schema: s; Owner: postgres
--

CREATE STATISTICS s.st (ndistinct, dependencies) ON name, price FROM s.items;
ALTER STATISTICS s.st SET STATISTICS 50;


ALTER STATISTICS s.st OWNER TO postgres;

--
-- Name: st2; Type: STATISTICS; Schema: s; Owner: postgres
--

CREATE STATISTICS s.st2 ON lower(name::text) FROM s.items;


ALTER STATISTICS s.st2 OWNER TO postgres;

--
-- Name: late _RETURN; Type: RULE; Schema: s; Owner: postgres
--

CREATE OR REPLACE VIEW s.late AS
 SELECT items.id,
    items.name
   FROM s.items
  GROUP BY items.id;


--
-- Name: v ins; Type: RULE; Schema: s; Owner: postgres
--

CREATE RULE ins AS
    ON INSERT TO s.v DO INSTEAD ( INSERT INTO s.log (n)
  VALUES (new.id);
 UPDATE s.log SET n = 1
  WHERE (log.n = new.id);
);


--
-- Name: log nodel; Type: RULE; Schema: s; Owner: postgres
--

CREATE RULE nodel AS
    ON DELETE TO s.log DO INSTEAD NOTHING;
ALTER TABLE s.log ENABLE ALWAYS RULE nodel;


--
-- Name: items t1; Type: TRIGGER; Schema: s; Owner: postgres
--

CREATE TRIGGER t1 BEFORE INSERT OR UPDATE OF name ON s.items FOR EACH ROW WHEN ((new.price > (1)::numeric)) EXECUTE FUNCTION s.trg('a', 'b');

ALTER TABLE s.items DISABLE TRIGGER t1;


--
-- Name: TRIGGER t1 ON items; Type: COMMENT; Schema: s; Owner: postgres
--

COMMENT ON TRIGGER t1 ON s.items IS 't';


--
-- Name: refs t2; Type: TRIGGER; Schema: s; Owner: postgres
--

CREATE CONSTRAINT TRIGGER t2 AFTER INSERT ON s.refs DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION s.trg();


--
-- Name: log t3; Type: TRIGGER; Schema: s; Owner: postgres
--

CREATE TRIGGER t3 AFTER DELETE ON s.log REFERENCING OLD TABLE AS o FOR EACH STATEMENT EXECUTE FUNCTION s.trg();


--
-- Name: refs refs_item_fkey; Type: FK CONSTRAINT; Schema: s; Owner: postgres
--

ALTER TABLE ONLY s.refs
    ADD CONSTRAINT refs_item_fkey FOREIGN KEY (item) REFERENCES s.items(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;


--
-- Name: items ins; Type: POLICY; Schema: s; Owner: postgres
--

CREATE POLICY ins ON s.items FOR INSERT WITH CHECK ((price > (0)::numeric));


--
-- Name: items; Type: ROW SECURITY; Schema: s; Owner: postgres
--

ALTER TABLE s.items ENABLE ROW LEVEL SECURITY;

--
-- Name: items own; Type: POLICY; Schema: s; Owner: postgres
--

CREATE POLICY own ON s.items AS RESTRICTIVE FOR SELECT USING ((((name)::text = CURRENT_USER) OR (length((name)::text) > 3)));


--
-- Name: everything; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert');


ALTER PUBLICATION everything OWNER TO postgres;

--
-- Name: ins; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION ins WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION ins OWNER TO postgres;

--
-- Name: pub; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION pub WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION pub OWNER TO postgres;

--
-- Name: pub child; Type: PUBLICATION TABLE; Schema: s; Owner: postgres
--

ALTER PUBLICATION pub ADD TABLE ONLY s.child (id, name) WHERE ((price > (1)::numeric));


--
-- Name: pub items; Type: PUBLICATION TABLE; Schema: s; Owner: postgres
--

ALTER PUBLICATION pub ADD TABLE ONLY s.items (id, name) WHERE ((price > (1)::numeric));


--
-- Name: pub log; Type: PUBLICATION TABLE; Schema: s; Owner: postgres
--

ALTER PUBLICATION pub ADD TABLE ONLY s.log;


--
-- Name: ins s; Type: PUBLICATION TABLES IN SCHEMA; Schema: s; Owner: postgres
--

ALTER PUBLICATION ins ADD TABLES IN SCHEMA s;


--
-- Name: sub; Type: SUBSCRIPTION; Schema: -; Owner: postgres
--

CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE);


ALTER SUBSCRIPTION sub OWNER TO postgres;

--
-- Name: SCHEMA s; Type: ACL; Schema: -; Owner: writer
--

GRANT USAGE ON SCHEMA s TO reader;


--
-- Name: LANGUAGE plpgsql; Type: ACL; Schema: -; Owner: postgres
--

GRANT ALL ON LANGUAGE plpgsql TO reader;


--
-- Name: TYPE mood; Type: ACL; Schema: s; Owner: postgres
--

GRANT ALL ON TYPE s.mood TO reader;


--
-- Name: FUNCTION pg_read_file(text); Type: ACL; Schema: pg_catalog; Owner: postgres
--

GRANT ALL ON FUNCTION pg_catalog.pg_read_file(text) TO reader;


--
-- Name: FUNCTION add(a integer, b integer); Type: ACL; Schema: s; Owner: postgres
--

GRANT ALL ON FUNCTION s.add(a integer, b integer) TO reader;


--
-- Name: PROCEDURE proc(INOUT x integer); Type: ACL; Schema: s; Owner: postgres
--

REVOKE ALL ON PROCEDURE s.proc(INOUT x integer) FROM PUBLIC;


--
-- Name: FUNCTION trg(); Type: ACL; Schema: s; Owner: postgres
--

REVOKE ALL ON FUNCTION s.trg() FROM PUBLIC;


--
-- Name: FOREIGN SERVER srv; Type: ACL; Schema: -; Owner: postgres
--

GRANT ALL ON FOREIGN SERVER srv TO reader;


--
-- Name: COLUMN items.id; Type: ACL; Schema: s; Owner: postgres
--

GRANT SELECT(id) ON TABLE s.items TO reader WITH GRANT OPTION;


--
-- Name: COLUMN items.name; Type: ACL; Schema: s; Owner: postgres
--

GRANT SELECT(name),UPDATE(name) ON TABLE s.items TO reader WITH GRANT OPTION;


--
-- Name: TABLE refs; Type: ACL; Schema: s; Owner: postgres
--

GRANT ALL ON TABLE s.refs TO writer;


--
-- Name: SEQUENCE seq; Type: ACL; Schema: s; Owner: postgres
--

GRANT USAGE ON SEQUENCE s.seq TO reader;


--
-- Name: LARGE OBJECT 4242; Type: ACL; Schema: -; Owner: postgres
--

GRANT SELECT ON LARGE OBJECT 4242 TO reader;


--
-- Name: DEFAULT PRIVILEGES FOR TABLES; Type: DEFAULT ACL; Schema: s; Owner: writer
--

ALTER DEFAULT PRIVILEGES FOR ROLE writer IN SCHEMA s GRANT SELECT ON TABLES  TO reader;


--
-- Name: DEFAULT PRIVILEGES FOR TYPES; Type: DEFAULT ACL; Schema: -; Owner: postgres
--

ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TYPES  TO reader;


--
-- Name: DEFAULT PRIVILEGES FOR FUNCTIONS; Type: DEFAULT ACL; Schema: -; Owner: writer
--

ALTER DEFAULT PRIVILEGES FOR ROLE writer REVOKE ALL ON FUNCTIONS  FROM PUBLIC;


--
-- Name: watch; Type: EVENT TRIGGER; Schema: -; Owner: postgres
--

CREATE EVENT TRIGGER watch ON ddl_command_end
         WHEN TAG IN ('DROP TABLE')
   EXECUTE FUNCTION s.evt();

ALTER EVENT TRIGGER watch DISABLE;


ALTER EVENT TRIGGER watch OWNER TO postgres;

--
-- Name: EVENT TRIGGER watch; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON EVENT TRIGGER watch IS 'e';


--
-- Name: mv; Type: MATERIALIZED VIEW DATA; Schema: s; Owner: postgres
--

REFRESH MATERIALIZED VIEW s.mv;


--
-- PostgreSQL database dump complete
--

\unrestrict uUbzCRBgohlq4hzBwkHDWjiGSfHlDkeoCjpamj9He2eKjb888ALSjHYTok2e1cJ

