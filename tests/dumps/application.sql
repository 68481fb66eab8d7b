--
-- PostgreSQL database dump
--

\restrict 5JXfaBDJmuz9HuAt4ukAoNKwaCdPHBPxjo3QAR0T21jeftkpaqx3c8LKEzka3M4

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

--
-- Name: citext; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;


--
-- Name: EXTENSION citext; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION citext IS 'data type for case-insensitive character strings';


--
-- Name: hstore; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;


--
-- Name: EXTENSION hstore; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION hstore IS 'data type for storing sets of (key, value) pairs';


--
-- Name: pg_stat_statements; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public;


--
-- Name: EXTENSION pg_stat_statements; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pg_stat_statements IS 'track planning and execution statistics of all SQL statements executed';


--
-- Name: pg_trgm; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;


--
-- Name: EXTENSION pg_trgm; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';


--
-- Name: pgcrypto; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;


--
-- Name: EXTENSION pgcrypto; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pgcrypto IS 'cryptographic functions';


--
-- Name: uuid-ossp; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;


--
-- Name: EXTENSION "uuid-ossp"; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION "uuid-ossp" IS 'generate universally unique identifiers (UUIDs)';


--
-- Name: addr; Type: TYPE; Schema: public; Owner: postgres
--

CREATE TYPE public.addr AS (
	street text,
	zip character varying(10),
	pos numeric(9,6)
);


ALTER TYPE public.addr OWNER TO postgres;

--
-- Name: email; Type: DOMAIN; Schema: public; Owner: postgres
--

CREATE DOMAIN public.email AS public.citext
	CONSTRAINT email_check CHECK (((VALUE OPERATOR(public.~) '^[^@]+@[^@]+$'::public.citext) AND (octet_length((VALUE)::text) < 255)));


ALTER DOMAIN public.email OWNER TO postgres;

--
-- Name: status; Type: TYPE; Schema: public; Owner: postgres
--

CREATE TYPE public.status AS ENUM (
    'new',
    'done'
);


ALTER TYPE public.status OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


ALTER TABLE public.alembic_version OWNER TO postgres;

--
-- Name: articles; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.articles (
    id uuid DEFAULT public.uuid_generate_v4() NOT NULL,
    other uuid DEFAULT gen_random_uuid(),
    title text NOT NULL,
    body text,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    meta jsonb DEFAULT '{}'::jsonb,
    attrs public.hstore,
    price numeric(12,4) DEFAULT 0.0,
    created timestamp without time zone DEFAULT timezone('utc'::text, now()),
    day date DEFAULT CURRENT_DATE,
    status public.status DEFAULT 'new'::public.status NOT NULL,
    fts tsvector GENERATED ALWAYS AS (to_tsvector('english'::regconfig, ((COALESCE(title, ''::text) || ' '::text) || COALESCE(body, ''::text)))) STORED,
    total numeric GENERATED ALWAYS AS (round((price * 1.2), 2)) STORED,
    CONSTRAINT js CHECK ((jsonb_typeof(meta) = 'object'::text)),
    CONSTRAINT len CHECK (((char_length(title) <= 200) AND (length(btrim(title)) > 0))),
    CONSTRAINT st CHECK ((status = ANY (ARRAY['new'::public.status, 'done'::public.status])))
);


ALTER TABLE public.articles OWNER TO postgres;

--
-- Name: TABLE articles; Type: COMMENT; Schema: public; Owner: postgres
--

COMMENT ON TABLE public.articles IS 'a "table" (it''s)';


--
-- Name: COLUMN articles.title; Type: COMMENT; Schema: public; Owner: postgres
--

COMMENT ON COLUMN public.articles.title IS 'f(x)';


--
-- Name: auth_user; Type: TABLE; Schema: public; Owner: writer
--

CREATE TABLE public.auth_user (
    id integer NOT NULL,
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    username character varying(150) NOT NULL,
    email public.citext,
    date_joined timestamp with time zone DEFAULT now() NOT NULL,
    positive integer,
    small smallint,
    CONSTRAINT auth_user_positive_check CHECK ((positive >= 0)),
    CONSTRAINT auth_user_small_check CHECK (((small > 0) AND (small < 10)))
);


ALTER TABLE public.auth_user OWNER TO writer;

--
-- Name: auth_user_id_seq; Type: SEQUENCE; Schema: public; Owner: writer
--

ALTER TABLE public.auth_user ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_admin_log; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.django_admin_log (
    id integer NOT NULL,
    action_flag smallint NOT NULL,
    change_message text NOT NULL,
    user_id integer NOT NULL,
    content_type_id integer,
    CONSTRAINT django_admin_log_action_flag_check CHECK ((action_flag >= 0))
);


ALTER TABLE public.django_admin_log OWNER TO postgres;

--
-- Name: django_admin_log_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.django_admin_log_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.django_admin_log_id_seq OWNER TO postgres;

--
-- Name: django_admin_log_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.django_admin_log_id_seq OWNED BY public.django_admin_log.id;


--
-- Name: django_content_type; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);


ALTER TABLE public.django_content_type OWNER TO postgres;

--
-- Name: django_content_type_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.django_content_type_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.django_content_type_id_seq OWNER TO postgres;

--
-- Name: django_content_type_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.django_content_type_id_seq OWNED BY public.django_content_type.id;


--
-- Name: django_migrations; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);


ALTER TABLE public.django_migrations OWNER TO postgres;

--
-- Name: django_migrations_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

ALTER TABLE public.django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: events; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.events (
    id bigint NOT NULL,
    at date NOT NULL
)
PARTITION BY RANGE (at);


ALTER TABLE public.events OWNER TO postgres;

--
-- Name: events_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.events_id_seq OWNER TO postgres;

--
-- Name: events_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.events_id_seq OWNED BY public.events.id;


--
-- Name: events_1; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.events_1 (
    id bigint DEFAULT nextval('public.events_id_seq'::regclass) NOT NULL,
    at date NOT NULL
);


ALTER TABLE public.events_1 OWNER TO postgres;

--
-- Name: events_d; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.events_d (
    id bigint DEFAULT nextval('public.events_id_seq'::regclass) NOT NULL,
    at date NOT NULL
);


ALTER TABLE public.events_d OWNER TO postgres;

--
-- Name: h; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.h (
    id integer
)
PARTITION BY HASH (id);


ALTER TABLE public.h OWNER TO postgres;

--
-- Name: h0; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.h0 (
    id integer
);


ALTER TABLE public.h0 OWNER TO postgres;

--
-- Name: joined; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.joined AS
 WITH x(a) AS (
         SELECT 1 AS "?column?"
        ), y AS (
         SELECT auth_user.id
           FROM public.auth_user
        )
 SELECT l.id,
    u.username,
    v.b,
    x.a
   FROM (((public.django_admin_log l
     JOIN public.auth_user u ON ((u.id = l.user_id)))
     LEFT JOIN ( VALUES (1,'a'::text)) v(content_type_id, b) USING (content_type_id))
     CROSS JOIN x),
    LATERAL ( SELECT 1 AS "?column?") z,
    y yy,
    unnest(ARRAY[1, 2]) WITH ORDINALITY w(e, o),
    generate_series(1, 3) g(n),
    jsonb_array_elements('[]'::jsonb) j(value);


ALTER TABLE public.joined OWNER TO postgres;

--
-- Name: mv; Type: MATERIALIZED VIEW; Schema: public; Owner: postgres
--

CREATE MATERIALIZED VIEW public.mv AS
 SELECT date_trunc('month'::text, articles.created) AS m,
    count(*) AS count
   FROM public.articles
  GROUP BY (date_trunc('month'::text, articles.created))
  WITH NO DATA;


ALTER TABLE public.mv OWNER TO postgres;

--
-- Name: seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.seq
    START WITH 5
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.seq OWNER TO postgres;

--
-- Name: stats; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.stats AS
 SELECT articles.status,
    count(*) AS n,
    sum(articles.price) AS sum,
    (avg(articles.price))::numeric(10,2) AS avg,
    max(articles.created) AS max,
    string_agg(articles.title, ', '::text ORDER BY articles.title) FILTER (WHERE (articles.price > (0)::numeric)) AS titles,
    row_number() OVER (ORDER BY articles.status) AS row_number,
        CASE
            WHEN (count(*) > 1) THEN 'x'::text
            ELSE lower('Y'::text)
        END AS lower,
    EXTRACT(epoch FROM max(articles.created)) AS e,
    SUBSTRING('abc'::text FROM 1 FOR 2) AS "substring",
    POSITION(('a'::text) IN ('abc'::text)) AS "position",
    TRIM(BOTH ' '::text FROM 'x'::text) AS btrim,
    OVERLAY('abc'::text PLACING 'x'::text FROM 1) AS "overlay",
    GREATEST(1, 2) AS "greatest",
    NULLIF(1, 2) AS "nullif",
    (EXISTS ( SELECT 1
           FROM public.auth_user u
          WHERE (u.id = ANY (ARRAY[1, 2])))) AS "exists"
   FROM public.articles
  GROUP BY GROUPING SETS ((articles.status), ())
 HAVING (count(*) > 0)
UNION ALL
 SELECT 'new'::public.status AS status,
    1 AS n,
    2 AS sum,
    3 AS avg,
    now() AS max,
    'x'::text AS titles,
    1 AS row_number,
    'y'::text AS lower,
    2 AS e,
    'a'::text AS "substring",
    1 AS "position",
    'b'::text AS btrim,
    'c'::text AS "overlay",
    1 AS "greatest",
    2 AS "nullif",
    false AS "exists"
  ORDER BY 1
 LIMIT 5;


ALTER TABLE public.stats OWNER TO postgres;

--
-- Name: with_types; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.with_types (
    id integer NOT NULL,
    mail public.email,
    a public.addr,
    b bit(3),
    t timestamp(3) without time zone,
    i interval(2),
    c character(5)
)
WITH (fillfactor='70');


ALTER TABLE public.with_types OWNER TO postgres;

--
-- Name: events_1; Type: TABLE ATTACH; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.events ATTACH PARTITION public.events_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');


--
-- Name: events_d; Type: TABLE ATTACH; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.events ATTACH PARTITION public.events_d DEFAULT;


--
-- Name: h0; Type: TABLE ATTACH; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.h ATTACH PARTITION public.h0 FOR VALUES WITH (modulus 2, remainder 0);


--
-- Name: django_admin_log id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_admin_log ALTER COLUMN id SET DEFAULT nextval('public.django_admin_log_id_seq'::regclass);


--
-- Name: django_content_type id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_content_type ALTER COLUMN id SET DEFAULT nextval('public.django_content_type_id_seq'::regclass);


--
-- Name: events id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.events ALTER COLUMN id SET DEFAULT nextval('public.events_id_seq'::regclass);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.alembic_version (version_num) FROM stdin;
\.


--
-- Data for Name: articles; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.articles (id, other, title, body, tags, meta, attrs, price, created, day, status) FROM stdin;
f4ae50da-3ad7-4713-974e-7356cb4a0438	59c50a86-7eb8-4f79-af47-b7f999523b91	x	a\nb; DO $$ BEGIN END $$;	{}	{}	"a"=>"b"	1.5000	2026-11-28 09:30:30.127419	2026-11-28	new
\.


--
-- Data for Name: auth_user; Type: TABLE DATA; Schema: public; Owner: writer
--

COPY public.auth_user (id, password, last_login, is_superuser, username, email, date_joined, positive, small) FROM stdin;
1	pbkdf2(x)	\N	f	it's me	A@b	2026-11-28 09:30:30.126978+00	3	4
2	\\	\N	t	b	\N	2026-11-28 09:30:30.126978+00	\N	\N
\.


--
-- Data for Name: django_admin_log; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.django_admin_log (id, action_flag, change_message, user_id, content_type_id) FROM stdin;
\.


--
-- Data for Name: django_content_type; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.django_content_type (id, app_label, model) FROM stdin;
\.


--
-- Data for Name: django_migrations; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.django_migrations (id, app, name, applied) FROM stdin;
\.


--
-- Data for Name: events_1; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.events_1 (id, at) FROM stdin;
1	2026-01-05
\.


--
-- Data for Name: events_d; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.events_d (id, at) FROM stdin;
\.


--
-- Data for Name: h0; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.h0 (id) FROM stdin;
2
\.


--
-- Data for Name: with_types; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.with_types (id, mail, a, b, t, i, c) FROM stdin;
1	a@b	(s,1,2.500000)	101	2026-11-28 09:30:30.129	1 day	x    
\.


--
-- Name: auth_user_id_seq; Type: SEQUENCE SET; Schema: public; Owner: writer
--

SELECT pg_catalog.setval('public.auth_user_id_seq', 2, true);


--
-- Name: django_admin_log_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.django_admin_log_id_seq', 1, false);


--
-- Name: django_content_type_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.django_content_type_id_seq', 1, false);


--
-- Name: django_migrations_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.django_migrations_id_seq', 1, false);


--
-- Name: events_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.events_id_seq', 1, true);


--
-- Name: seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.seq', 5, true);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: articles articles_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.articles
    ADD CONSTRAINT articles_pkey PRIMARY KEY (id);


--
-- Name: auth_user auth_user_pkey; Type: CONSTRAINT; Schema: public; Owner: writer
--

ALTER TABLE ONLY public.auth_user
    ADD CONSTRAINT auth_user_pkey PRIMARY KEY (id);


--
-- Name: auth_user auth_user_username_key; Type: CONSTRAINT; Schema: public; Owner: writer
--

ALTER TABLE ONLY public.auth_user
    ADD CONSTRAINT auth_user_username_key UNIQUE (username);


--
-- Name: django_admin_log django_admin_log_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_pkey PRIMARY KEY (id);


--
-- Name: django_content_type django_content_type_app_label_model_key; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_key UNIQUE (app_label, model);


--
-- Name: django_content_type django_content_type_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);


--
-- Name: django_migrations django_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);


--
-- Name: with_types with_types_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.with_types
    ADD CONSTRAINT with_types_pkey PRIMARY KEY (id);


--
-- Name: articles_created_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_created_idx ON public.articles USING brin (created);


--
-- Name: articles_expr_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_expr_idx ON public.articles USING btree (((meta ->> 'x'::text)));


--
-- Name: articles_fts_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_fts_idx ON public.articles USING gin (fts);


--
-- Name: articles_lower_date_trunc_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_lower_date_trunc_idx ON public.articles USING btree (lower(title), date_trunc('day'::text, created));


--
-- Name: articles_meta_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_meta_idx ON public.articles USING gin (meta jsonb_path_ops);


--
-- Name: articles_title_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_title_idx ON public.articles USING gin (title public.gin_trgm_ops);


--
-- Name: articles_title_idx1; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_title_idx1 ON public.articles USING hash (title);


--
-- Name: articles_to_tsvector_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX articles_to_tsvector_idx ON public.articles USING gin (to_tsvector('simple'::regconfig, body));


--
-- Name: auth_user_username_like; Type: INDEX; Schema: public; Owner: writer
--

CREATE INDEX auth_user_username_like ON public.auth_user USING btree (username varchar_pattern_ops);


--
-- Name: mv_m_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE UNIQUE INDEX mv_m_idx ON public.mv USING btree (m);


--
-- Name: partial; Type: INDEX; Schema: public; Owner: writer
--

CREATE UNIQUE INDEX partial ON public.auth_user USING btree (username) WHERE ((last_login IS NOT NULL) AND (NOT is_superuser));


--
-- Name: upper_email; Type: INDEX; Schema: public; Owner: writer
--

CREATE INDEX upper_email ON public.auth_user USING btree (upper((username)::text));


--
-- Name: st; Type: STATISTICS; Schema: public; Owner: postgres
--

CREATE STATISTICS public.st (dependencies) ON title, price FROM public.articles;


ALTER STATISTICS public.st OWNER TO postgres;

--
-- Name: django_admin_log django_admin_log_content_type_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_content_type_id_fkey FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) ON DELETE SET NULL;


--
-- Name: django_admin_log django_admin_log_user_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.auth_user(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: articles; Type: ROW SECURITY; Schema: public; Owner: postgres
--

ALTER TABLE public.articles ENABLE ROW LEVEL SECURITY;

--
-- Name: articles p; Type: POLICY; Schema: public; Owner: postgres
--

CREATE POLICY p ON public.articles FOR SELECT USING (((price > (0)::numeric) OR (status = 'done'::public.status)));


--
-- Name: pub; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION pub WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION pub OWNER TO postgres;

--
-- Name: pub articles; Type: PUBLICATION TABLE; Schema: public; Owner: postgres
--

ALTER PUBLICATION pub ADD TABLE ONLY public.articles (id, title) WHERE ((price > (0)::numeric));


--
-- Name: pub auth_user; Type: PUBLICATION TABLE; Schema: public; Owner: postgres
--

ALTER PUBLICATION pub ADD TABLE ONLY public.auth_user;


--
-- Name: TABLE articles; Type: ACL; Schema: public; Owner: postgres
--

GRANT SELECT ON TABLE public.articles TO reader;


--
-- Name: COLUMN auth_user.id; Type: ACL; Schema: public; Owner: writer
--

GRANT SELECT(id) ON TABLE public.auth_user TO writer;


--
-- Name: COLUMN auth_user.username; Type: ACL; Schema: public; Owner: writer
--

GRANT SELECT(username) ON TABLE public.auth_user TO writer;


--
-- Name: COLUMN auth_user.email; Type: ACL; Schema: public; Owner: writer
--

GRANT UPDATE(email) ON TABLE public.auth_user TO writer;


--
-- Name: DEFAULT PRIVILEGES FOR TABLES; Type: DEFAULT ACL; Schema: public; Owner: postgres
--

ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT SELECT ON TABLES  TO reader;


--
-- Name: mv; Type: MATERIALIZED VIEW DATA; Schema: public; Owner: postgres
--

REFRESH MATERIALIZED VIEW public.mv;


--
-- PostgreSQL database dump complete
--

\unrestrict 5JXfaBDJmuz9HuAt4ukAoNKwaCdPHBPxjo3QAR0T21jeftkpaqx3c8LKEzka3M4

