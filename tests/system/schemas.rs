//! Databases of random tables, types, keys and rights, which have to come back as they were.
//!
//! `LARDER_TEST_SEED` is the first seed, and `LARDER_TEST_SEEDS` how many there are: a database that does not come back is named by its seed.

use std::fmt::Write;

use crate::support::{System, noise, roles_stay};

const SEEDS: u64 = 4;
const NAMES: [&str; 10] =
    ["t", "Order", "säule", "select", "x\"y", "with space", "per%cent", "dot.ted", "$dollar", "new\nline"];
/// A type, the values of its rows `g`, and whether these are a key.
const TYPES: [(&str, &str, bool); 24] = [
    ("int", "g", true),
    ("bigint", "g * 1000000007::bigint", true),
    ("text", "md5(g::text)", true),
    ("text COLLATE \"C\"", "'Ä' || g", true),
    ("varchar(40)", "E'v\\t\\\\' || g", true),
    ("numeric(12,3)", "g / 8.0", true),
    ("timestamptz", "'2026-01-01'::timestamptz + g * interval '1 hour 7 minutes'", true),
    ("date", "'2026-01-01'::date + g", true),
    ("uuid", "md5(g::text)::uuid", true),
    ("bytea", "decode(md5(g::text), 'hex')", true),
    ("int4range", "int4range(g * 10, g * 10 + 5)", true),
    ("inet", "'10.0.0.0'::inet + g", true),
    ("interval", "g * interval '-1 day 3 hours'", true),
    ("float8", "g / 3.0::float8", true),
    ("boolean", "g % 3 = 0", false),
    ("jsonb", "jsonb_build_object('n', g, 't', E'\\\\ \"')", false),
    ("text[]", "ARRAY['a' || g, NULL, 'NULL', '{}', '']", false),
    ("money", "g::money", false),
    ("tsvector", "to_tsvector('simple', 'word' || g)", false),
    ("point", "point(g, -g)", false),
    ("public.mood", "(ARRAY['fine', 'so so', 'ba''d'])[g % 3 + 1]::public.mood", false),
    ("public.short", "'s' || g", true),
    ("public.pair", "ROW(g, 'p' || g)::public.pair", false),
    ("public.short[]", "ARRAY['s' || g, NULL]::public.short[]", false),
];
const TYPES_SQL: &str = "
    CREATE SCHEMA \"S 1\"; CREATE TYPE public.mood AS ENUM ('fine', 'so so', 'ba''d');
    CREATE DOMAIN public.short AS text CHECK (length(VALUE) < 30); CREATE TYPE public.pair AS (n int, \"T x\" text);
    CREATE FUNCTION public.shout(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT upper(t) || '!'$$;
    CREATE FUNCTION public.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE SEQUENCE public.counter INCREMENT 3; SELECT setval('public.counter', 41); SELECT lo_from_bytea(0, 'a large object');";

/// What is chosen at random.
struct Choices {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    fn of(seed: u64) -> Self {
        Self { bytes: noise(1 << 16, seed), at: 0 }
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.at += 2;
        let bytes = self.bytes.get(self.at..self.at + 2).expect("there are enough");
        usize::from(u16::from_le_bytes([bytes[0], bytes[1]])) % end
    }

    fn of_two(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table that others can refer to.
struct Table {
    name: String,
    rows: usize,
    is_keyed: bool,
    /// Whether others can inherit from it: all that it needs they have.
    is_parent: bool,
}

/// A table with its rows and everything around it.
fn table(choices: &mut Choices, number: usize, roles: &[String], others: &[Table]) -> (Table, String) {
    let bare = format!("{}{number}", choices.one(&NAMES));
    let name = format!("{}.{}", choices.one(&["public", "\"S 1\""]), quoted(&bare));
    let rows = choices.one(&[0, 1, 40, 1_500]);
    let part = choices.one(&["", "", "", "RANGE (k)", "LIST (l)", "HASH (k)"]);
    let parent = others.iter().find(|other| other.is_parent && choices.below(6) == 0).filter(|_| part.is_empty());
    let mut columns = vec!["k int NOT NULL".to_owned(), "l int".to_owned()];
    let (mut into, mut values) = (vec!["k".to_owned(), "l".to_owned()], vec!["g".to_owned(), "g % 3".to_owned()]);
    let mut keys = Vec::new();
    for column in 0..choices.below(7) {
        let (kind, value, is_key) = choices.one(&TYPES);
        let column = quoted(&format!("{}_{number}_{column}", choices.one(&NAMES)));
        let more = choices.one(&["", "", " NOT NULL", " DEFAULT NULL"]);
        columns.push(format!("{column} {kind}{more}"));
        let value = if more == " NOT NULL" || choices.of_two() {
            value.to_owned()
        } else {
            format!("CASE WHEN g % 5 > 0 THEN {value} END")
        };
        if is_key && !value.starts_with("CASE") {
            keys.push(column.clone());
        }
        into.push(column);
        values.push(value);
    }
    if choices.of_two() && parent.is_none() {
        columns.push("twice int GENERATED ALWAYS AS (k * 2) STORED".to_owned());
    }
    if choices.of_two() && parent.is_none() {
        columns.push(format!(
            "own int {}",
            choices.one(&[
                "DEFAULT nextval('public.counter')",
                "GENERATED BY DEFAULT AS IDENTITY (INCREMENT 5)",
                "DEFAULT 7"
            ])
        ));
    }
    let mut is_keyed = false;
    match choices.below(4) {
        0 => {}
        1 if part.is_empty() && !keys.is_empty() => {
            let key = keys.swap_remove(choices.below(keys.len()));
            columns.push(format!("PRIMARY KEY ({key})"));
        }
        2 => columns.push("PRIMARY KEY (k, l)".to_owned()),
        _ if part.starts_with("LIST") => {}
        _ => {
            is_keyed = true;
            columns.push("PRIMARY KEY (k)".to_owned());
        }
    }
    columns.extend(choices.of_two().then(|| "CHECK (k >= 0)".to_owned()));
    let mut sql = format!("CREATE TABLE {name} ({})", columns.join(", "));
    match (part, parent) {
        ("", Some(parent)) => writeln!(sql, " INHERITS ({});", parent.name),
        ("", None) => writeln!(sql, "{};", choices.one(&["", " WITH (fillfactor = 70)"])),
        (part, _) => write!(sql, " PARTITION BY {part};\n{}", parts(&bare, &name, part)),
    }
    .expect("a string");
    let (into, values) = (into.join(", "), values.join(", "));
    writeln!(sql, "INSERT INTO {name} ({into}) SELECT {values} FROM generate_series(1, {rows}) AS g;")
        .expect("a string");
    around(choices, (&name, &bare), roles, others, &mut sql);
    (
        Table {
            name,
            rows,
            is_keyed,
            is_parent: part.is_empty()
                && parent.is_none()
                && columns
                    .iter()
                    .skip(1)
                    .all(|column| !["NOT NULL", "IDENTITY", "KEY (\""].iter().any(|needed| column.contains(needed))),
        },
        sql,
    )
}

/// The partitions of a table.
fn parts(bare: &str, name: &str, part: &str) -> String {
    let of = |number: usize, values: &str| {
        let part = quoted(&format!("{bare}_p{number}"));
        format!("CREATE TABLE \"S 1\".{part} PARTITION OF {name} {values};\n")
    };
    let values: &[&str] = match part {
        "RANGE (k)" => &["FOR VALUES FROM (MINVALUE) TO (20)", "FOR VALUES FROM (20) TO (1000)", "DEFAULT"],
        "LIST (l)" => &["FOR VALUES IN (0, 1)", "DEFAULT"],
        _ => &["FOR VALUES WITH (MODULUS 2, REMAINDER 0)", "FOR VALUES WITH (MODULUS 2, REMAINDER 1)"],
    };
    values.iter().enumerate().map(|(number, values)| of(number, values)).collect()
}

/// Indexes, keys, views, triggers, policies and rights of a table.
fn around(choices: &mut Choices, (name, bare): (&str, &str), roles: &[String], others: &[Table], sql: &mut String) {
    let role = choices.one(&[&roles[0], &roles[1]]);
    let parent = others.iter().find(|other| other.is_keyed && choices.of_two());
    let to_parent = parent.map(|parent| {
        let value = if parent.rows > 0 { "1" } else { "NULL" };
        let how = choices.one(&["", " ON DELETE SET NULL", " DEFERRABLE INITIALLY DEFERRED"]);
        format!("ALTER TABLE {name} ADD COLUMN parent int DEFAULT {value} REFERENCES {}{how};", parent.name)
    });
    let view = quoted(&format!("v_{bare}"));
    let made = quoted(&format!("m_{bare}"));
    let all = [
        to_parent.unwrap_or_default(),
        format!("CREATE INDEX ON {name} (l) WHERE k > 3;"),
        format!("CREATE INDEX ON {name} (public.shout(l::text), k DESC) INCLUDE (l);"),
        format!("CREATE VIEW {view} AS SELECT k, l FROM {name} WHERE k < 1000;"),
        format!(
            "CREATE VIEW {view} WITH (security_barrier) AS SELECT l, count(*) FROM {name} GROUP BY l; CREATE MATERIALIZED VIEW {made} AS SELECT * FROM {view};"
        ),
        format!(
            "CREATE MATERIALIZED VIEW {made} AS SELECT k FROM {name} WITH NO DATA; CREATE UNIQUE INDEX ON {made} (k);"
        ),
        format!(
            "CREATE TRIGGER \"T r\" BEFORE UPDATE ON {name} FOR EACH ROW WHEN (new.k > 1) EXECUTE FUNCTION public.pass(); ALTER TABLE {name} ENABLE ALWAYS TRIGGER \"T r\";"
        ),
        format!(
            "CREATE POLICY own ON {name} FOR SELECT TO {role} USING (k > 0); ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
        ),
        format!("COMMENT ON TABLE {name} IS E'it''s\\n\\\\.\\nof {bare}'; COMMENT ON COLUMN {name}.k IS 'key';")
            .replace("x\"y", "xy"),
        format!("GRANT SELECT, INSERT ON {name} TO {role} WITH GRANT OPTION; GRANT UPDATE (l) ON {name} TO {role};"),
        format!("CREATE STATISTICS ON k, l FROM {name};"),
        format!("ALTER TABLE {name} REPLICA IDENTITY FULL;"),
        format!("ALTER TABLE {name} ALTER k SET STATISTICS 77;"),
    ];
    for statement in all {
        if choices.of_two() {
            // Two of them may make the same view.
            writeln!(sql, "DO $do$ BEGIN EXECUTE $x${statement}$x$; EXCEPTION WHEN duplicate_table OR syntax_error THEN NULL; END $do$;").expect("a string");
        }
    }
    if choices.of_two() {
        writeln!(sql, "ALTER TABLE {name} OWNER TO {};", choices.one(&[&roles[0], &roles[1]])).expect("a string");
    }
}

fn schema(seed: u64, roles: &[String]) -> String {
    let mut choices = Choices::of(seed);
    let mut sql = TYPES_SQL.to_owned();
    writeln!(sql, "GRANT CREATE, USAGE ON SCHEMA public, \"S 1\" TO {};", roles.join(", ")).expect("a string");
    let mut tables = Vec::new();
    for number in 0..4 + choices.below(8) {
        let (table, text) = table(&mut choices, number, roles, &tables);
        sql.push_str(&text);
        tables.push(table);
    }
    // A restore makes them of the rows that there are in the end.
    sql.push_str(
        "DO $$ DECLARE o text; BEGIN FOR o IN SELECT oid::regclass FROM pg_class WHERE relkind = 'm' AND relispopulated LOOP
            EXECUTE 'REFRESH MATERIALIZED VIEW ' || o; END LOOP; END $$;\n",
    );
    writeln!(sql, "ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT ON TABLES TO {};", roles[0], roles[1])
        .expect("a string");
    sql
}

/// What is asked for by a variable of the environment.
fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

#[test]
fn random_databases_come_back_as_they_were() {
    let first = number("LARDER_TEST_SEED", 1);
    for seed in first..first + number("LARDER_TEST_SEEDS", SEEDS) {
        let _stay = roles_stay();
        let mut system = System::bare();
        let roles = [system.new_role(""), system.new_role("NOINHERIT")];
        let sql = schema(seed, &roles);
        system.write("schema.sql", sql.as_bytes());
        system.sql(&sql);
        let before = system.fingerprint();
        for method in ["tables", "pg_dump"] {
            system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
            system.create();
            let restored = || {
                let arguments = ["restore", "latest", "--components", "database", "--force", "--no-snapshot"];
                let run = system.larder(&arguments);
                assert_eq!(run.code, 0, "seed {seed}, {method}: {}", run.all());
                let found = system.fingerprint();
                let differ = found.lines().zip(before.lines()).find(|(found, before)| found != before);
                assert!(found == before, "seed {seed}, {method}: {differ:?}");
            };
            system.sql("DROP TYPE public.mood CASCADE; DROP SCHEMA \"S 1\" CASCADE");
            restored();
            system.drop_database();
            restored();
        }
    }
}
