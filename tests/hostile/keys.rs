//! Code of a role in the keys of its partitioned tables, which the server runs whenever something is made of them.

use crate::attacker::Attacked;

/// Each makes something of the partitioned table `m.p`, or `m.q`, when all rows are there.
const TRAPS: [&str; 8] = [
    "CREATE TRIGGER tr BEFORE INSERT ON m.p FOR EACH ROW EXECUTE FUNCTION m.pass()",
    "CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON m.p FOR EACH ROW EXECUTE FUNCTION m.pass()",
    "CREATE INDEX i ON m.p (b)",
    "CREATE TABLE m.q (a integer PRIMARY KEY, b integer) PARTITION BY RANGE (a); CREATE TABLE m.q1 PARTITION OF m.q FOR VALUES FROM (0) TO (99);
     INSERT INTO m.q VALUES (1, 1); ALTER TABLE m.p ADD FOREIGN KEY (b) REFERENCES m.q",
    "CREATE TABLE m.q (a integer PRIMARY KEY, b integer) PARTITION BY RANGE (a);
     CREATE TABLE m.q1 PARTITION OF m.q FOR VALUES FROM (0) TO (99) PARTITION BY LIST (a); CREATE TABLE m.q2 PARTITION OF m.q1 DEFAULT;
     CREATE TABLE m.r (a integer); ALTER TABLE m.r ADD FOREIGN KEY (a) REFERENCES m.q NOT VALID; CREATE INDEX i ON m.p (a)",
    "CREATE TABLE m.p2 PARTITION OF m.p FOR VALUES FROM (100) TO (200) PARTITION BY RANGE ((m.evil_id(1) + b)); CREATE TABLE m.p3 PARTITION OF m.p2 DEFAULT;
     CREATE TRIGGER tr AFTER INSERT ON m.p2 FOR EACH ROW EXECUTE FUNCTION m.pass()",
    "CREATE TRIGGER tr AFTER INSERT ON m.p FOR EACH ROW EXECUTE FUNCTION m.pass(); ALTER TABLE m.p1 DISABLE TRIGGER tr",
    "ALTER TABLE m.p REPLICA IDENTITY NOTHING; CREATE POLICY own ON m.p USING (a > 0); CREATE RULE ru AS ON DELETE TO m.p DO ALSO SELECT 1",
];

/// What is constant in a key was run by who restores, when a trigger, an index or a foreign key of the table was made.
#[test]
fn keys_of_partitioned_tables_run_nothing_as_a_superuser() {
    for (number, trap) in TRAPS.into_iter().enumerate() {
        let attacked = Attacked::new();
        let is_by_tables = number % 2 == 0;
        attacked.by_method(if is_by_tables { "tables" } else { "pg_dump" });
        attacked.as_mallory(&format!(
            "CREATE FUNCTION m.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
             CREATE TABLE m.p (a integer, b integer) PARTITION BY RANGE ((m.evil_id(1) + a));
             CREATE TABLE m.p1 PARTITION OF m.p FOR VALUES FROM (0) TO (100); INSERT INTO m.p VALUES (1, 1); {trap}"
        ));
        let made = "SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal), (SELECT count(*) FROM pg_index), (SELECT count(*) FROM pg_constraint),
            (SELECT string_agg(tgenabled::text, '' ORDER BY relname) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal)";
        let before = attacked.system.sql(made);
        attacked.system.create();
        attacked.system.larder(&["verify", "latest", "--test-restore", "--on-live-server"]).exits(0);
        attacked.assert_harmless(trap);
        attacked.restore(&[]).exits(0);
        attacked.assert_harmless(trap);
        assert_eq!(attacked.system.sql(made), before, "{trap}");
        attacked.restore(&["--continue"]).exits(0);
        attacked.assert_harmless(trap);
        if is_by_tables {
            attacked.system.create();
            attacked.restore(&["--tables", "public.numbers"]).exits(0);
            attacked.assert_harmless(trap);
        }
    }
}

/// The materialized view of a superuser reads such a table: to plan that runs the key.
#[test]
fn a_view_of_a_superuser_that_reads_such_a_table_needs_a_word() {
    let attacked = Attacked::new();
    attacked.as_mallory(
        "CREATE TABLE m.p (a integer) PARTITION BY RANGE ((m.evil_id(1) + a)); CREATE TABLE m.p1 PARTITION OF m.p FOR VALUES FROM (0) TO (100)",
    );
    attacked.system.sql("SET ROLE NONE; CREATE MATERIALIZED VIEW public.smv AS SELECT a FROM m.p WITH NO DATA");
    attacked.system.create();
    let refused = attacked.restore(&[]).exits(2);
    assert!(refused.stderr.contains("public.smv"), "{refused:?}");
    attacked.assert_harmless("a materialized view");
}

/// One statement about privileges that was refused took those with it that had taken something away.
#[test]
fn what_is_taken_away_stays_taken_where_a_grant_is_refused() {
    for method in ["tables", "pg_dump"] {
        let mut attacked = Attacked::new();
        let [first, second] = ["LOGIN PASSWORD 'mallory'", ""].map(|options| attacked.system.new_role(options));
        let mallory = attacked.mallory.clone();
        attacked.by_method(method);
        attacked.system.sql(&format!(
            "CREATE FUNCTION public.secret() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 42'; REVOKE ALL ON FUNCTION public.secret() FROM public;
             GRANT EXECUTE ON FUNCTION public.secret() TO {first}, {mallory} WITH GRANT OPTION;
             SET SESSION AUTHORIZATION {mallory}; GRANT EXECUTE ON FUNCTION public.secret() TO {second}; RESET SESSION AUTHORIZATION;
             SET SESSION AUTHORIZATION {first}; GRANT EXECUTE ON FUNCTION public.secret() TO {mallory} WITH GRANT OPTION; RESET SESSION AUTHORIZATION;
             REVOKE EXECUTE ON FUNCTION public.secret() FROM {mallory}"
        ));
        let public = "SELECT count(*) FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE proname = 'secret' AND a.grantee = 0";
        assert_eq!(attacked.system.sql(public), "0");
        attacked.system.create();
        let run = attacked.restore(&["--continue"]);
        assert!(run.code == 0 || run.stderr.contains("the server refuses the ACL public.FUNCTION secret()"), "{run:?}");
        assert_eq!(attacked.system.sql(public), "0", "{method}");
    }
}
