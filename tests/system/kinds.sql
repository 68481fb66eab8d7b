-- Tables of every kind that a dump in the order of keys stumbles over.
CREATE EXTENSION citext;
CREATE TYPE size AS ENUM ('small', 'large', 'huge');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE pair AS (a integer, b text);
CREATE COLLATION loose (provider = icu, locale = 'de-u-ks-level2', deterministic = false);

CREATE TABLE by_date (day date NOT NULL, n integer NOT NULL, size size, PRIMARY KEY (day, n)) PARTITION BY RANGE (day);
CREATE TABLE by_date_old PARTITION OF by_date FOR VALUES FROM (MINVALUE) TO ('2026-01-01') PARTITION BY LIST (day);
CREATE TABLE by_date_old_rest PARTITION OF by_date_old DEFAULT;
CREATE TABLE by_date_new PARTITION OF by_date FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE INDEX by_date_n ON by_date (n);
INSERT INTO by_date SELECT date '2025-12-01' + n % 60, n, 'large' FROM generate_series(1, 3000) AS n ORDER BY md5(n::text);
INSERT INTO by_date VALUES ('infinity', 1, NULL), ('-infinity', 1, NULL), ('0044-03-15 BC', 1, 'huge'), ('12026-01-01', 1, 'small');
CREATE TABLE by_enum (size size PRIMARY KEY, n integer) PARTITION BY HASH (size);
CREATE TABLE by_enum_0 PARTITION OF by_enum FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_enum_1 PARTITION OF by_enum FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_enum SELECT unnest(enum_range(NULL::size)), 1;

CREATE DOMAIN any_size AS size;
CREATE TABLE by_domain (size any_size PRIMARY KEY) PARTITION BY HASH (size);
CREATE TABLE by_domain_0 PARTITION OF by_domain FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_domain_1 PARTITION OF by_domain FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_domain SELECT unnest(enum_range(NULL::size));

CREATE TABLE base (id integer PRIMARY KEY, text text);
CREATE TABLE derived (more text, PRIMARY KEY (id)) INHERITS (base);
INSERT INTO base SELECT n, 'base' FROM generate_series(1, 9) AS n;
INSERT INTO derived SELECT n, 'derived', 'more' FROM generate_series(5, 20) AS n;

CREATE TABLE numbered (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dropped text, positive positive, doubled integer GENERATED ALWAYS AS (positive * 2) STORED,
    pair pair, pairs pair[], range int4range, ranges tstzmultirange, matrix double precision[], json jsonb, bits bit varying, net inet
);
INSERT INTO numbered (positive, pair, pairs, range, ranges, matrix, json, bits, net)
    SELECT n, (n, E'a\\b"')::pair, ARRAY[(n, NULL)::pair, (NULL, '')::pair], int4range(n, n + 5), '{[2026-01-01, 2026-02-01)}',
        ARRAY[['NaN', 'Infinity'], ['-Infinity', n / 3.0]]::float8[], '{"a": [1, null, "\u00e4"]}', B'101', '10.0.0.1/8'
    FROM generate_series(1, 500) AS n;
ALTER TABLE numbered DROP COLUMN dropped;

CREATE TABLE "Ünïcode ""table""; DROP" ("The key" text COLLATE "de-x-icu" PRIMARY KEY, "select" bytea, "a	b" text);
INSERT INTO "Ünïcode ""table""; DROP" SELECT chr(65 + n % 26 + CASE WHEN n % 2 = 0 THEN 32 ELSE 0 END) || E'\t\\\n' || n, decode(md5(n::text), 'hex'), E'\\.'
    FROM generate_series(1, 400) AS n;
CREATE TABLE loose (name text COLLATE loose PRIMARY KEY, n integer);
INSERT INTO loose SELECT 'Näme ' || n, n FROM generate_series(1, 50) AS n;
CREATE TABLE insensitive (name citext PRIMARY KEY, n integer);
INSERT INTO insensitive SELECT CASE n % 2 WHEN 0 THEN 'name ' ELSE 'NAME ' END || n, n FROM generate_series(1, 50) AS n;
CREATE TABLE odd_keys (f double precision, n numeric, t timestamptz, i interval, b boolean, p positive, c "char", a integer[],
    net inet, fixed character(5), PRIMARY KEY (f, n, t, i, b, p, c, a, net, fixed));
INSERT INTO odd_keys SELECT v.f, v.n, timestamptz '2026-10-25 00:30:00+00' + k * interval '20 minutes', k * interval '25 hours', k % 2 = 0, k, 'x',
        ARRAY[k, NULL], '10.0.0.1', 'ab'
    FROM generate_series(1, 20) AS k, (VALUES ('NaN'::float8, 'NaN'::numeric), ('Infinity', 1.50), ('-Infinity', 1.5e30), ('-0', -0.001), (0.1, 12345678901234567890)) AS v (f, n);
CREATE TABLE keys_only (id uuid PRIMARY KEY);
INSERT INTO keys_only SELECT md5(n::text)::uuid FROM generate_series(1, 300) AS n;
CREATE TABLE with_include (a integer, b text, c text, PRIMARY KEY (b, a) INCLUDE (c));
INSERT INTO with_include SELECT n, 'b' || n % 7, 'c' FROM generate_series(1, 100) AS n;
CREATE TABLE nothing (id integer PRIMARY KEY, text text);
CREATE TABLE no_key (a integer, b text);
INSERT INTO no_key SELECT n, E'x\t\\' || n FROM generate_series(1, 100) AS n;
CREATE UNLOGGED TABLE unlogged (id integer PRIMARY KEY);
INSERT INTO unlogged SELECT generate_series(1, 10);
CREATE TABLE schema_dot (id integer PRIMARY KEY);
CREATE SCHEMA "a.b";
CREATE TABLE "a.b"."c/d" (id integer PRIMARY KEY);
INSERT INTO "a.b"."c/d" SELECT generate_series(1, 3);
CREATE SCHEMA a;
CREATE TABLE a."b.c/d" (id integer PRIMARY KEY);
INSERT INTO a."b.c/d" SELECT generate_series(1, 5);

CREATE TABLE chicken (id integer PRIMARY KEY, egg integer NOT NULL);
CREATE TABLE egg (id integer PRIMARY KEY, chicken integer NOT NULL REFERENCES chicken DEFERRABLE INITIALLY DEFERRED);
INSERT INTO chicken SELECT n, n FROM generate_series(1, 30) AS n;
INSERT INTO egg SELECT n, n FROM generate_series(1, 30) AS n;
ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX ON chicken (egg);
COMMENT ON INDEX chicken_egg_idx IS '
--
-- Name: false; Type: INDEX; Schema: public; Owner: nobody
--
';
CREATE TABLE policed (id integer PRIMARY KEY, owner text);
INSERT INTO policed SELECT n, 'nobody' FROM generate_series(1, 10) AS n;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (owner = current_user);
CREATE TABLE logged (id integer PRIMARY KEY, at timestamptz DEFAULT now());
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no rows here'; END $$;
INSERT INTO logged SELECT generate_series(1, 10);
CREATE TRIGGER refuse BEFORE INSERT ON logged FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE VIEW seen AS SELECT * FROM base;
CREATE RULE into_base AS ON INSERT TO seen DO INSTEAD INSERT INTO base VALUES (NEW.id, NEW.text);
CREATE RULE no_delete AS ON DELETE TO nothing DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW counted AS SELECT size, count(*) FROM by_date GROUP BY 1;
CREATE UNIQUE INDEX ON counted (size);
CREATE STATISTICS pairs ON n, size FROM by_date;
ALTER TABLE base CLUSTER ON base_pkey;
ALTER TABLE loose REPLICA IDENTITY USING INDEX loose_pkey;
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT lo_from_bytea(4242, decode(repeat('00ff5c0a', 50000), 'hex')) \g /dev/null
CREATE SEQUENCE counter INCREMENT 3;
SELECT nextval('counter'), nextval('counter') \g /dev/null
