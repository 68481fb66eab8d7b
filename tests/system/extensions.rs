//! Databases with extensions of which a restore has to know more than that they are there.

use crate::support::System;

const RESTORE: [&str; 5] = ["restore", "latest", "--components", "database", "--force"];
/// The database whose name the tests' server is set to, the only one that it makes `pg_cron` in.
const CRON_DATABASE: &str = "larder_cron";

/// It was made under another name first, where the server refuses it: no database with jobs could be restored at all.
#[test]
fn a_database_whose_extension_is_bound_to_its_name_comes_back_where_it_is_gone() {
    let mut system = System::with_numbers(10);
    assert_eq!(system.sql("SHOW cron.database_name"), CRON_DATABASE, "tests/run sets that");
    system.server.sql("postgres", &format!("ALTER DATABASE {} RENAME TO {CRON_DATABASE}", system.database));
    CRON_DATABASE.clone_into(&mut system.database);
    system.sql("CREATE EXTENSION pg_cron; SELECT cron.schedule('nightly', '0 3 1 1 *', 'VACUUM numbers')");
    let jobs = "SELECT jobname, schedule, command, database FROM cron.job";
    let (before, jobs_before) = (system.fingerprint(), system.sql(jobs));
    assert_eq!(jobs_before, "nightly|0 3 1 1 *|VACUUM numbers|larder_cron");
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        let created = system.larder(&["create"]).exits(0).stderr;
        assert!(created.contains("makes the extension pg_cron only in the database of this name"), "{created}");
        let refused = system.larder(&RESTORE).exits(1).stderr;
        assert!(refused.contains("rename the one that is there, and restore again"), "{refused}");
        assert_eq!(system.sql(jobs), jobs_before, "{method}");
        system.drop_database();
        system.larder(&RESTORE).exits(0);
        assert_eq!(system.fingerprint(), before, "{method}");
        assert_eq!(system.sql(jobs), jobs_before, "{method}");
    }
}

/// Its event trigger reads the indexes that other sessions are making: two that were made side by side waited for each other.
#[test]
fn indexes_are_made_one_by_one_where_an_extension_watches() {
    let system = System::with_numbers(10);
    system.sql("CREATE EXTENSION periods CASCADE");
    for n in 1..=8 {
        system.sql(&format!(
            "CREATE TABLE t{n} (id int NOT NULL, name text, s date NOT NULL, e date NOT NULL);
             INSERT INTO t{n} SELECT i, md5(i::text), '2020-01-01', '2021-01-01' FROM generate_series(1, 3000) AS i;
             SELECT periods.add_period('t{n}', 'p', 's', 'e'); SELECT periods.add_unique_key('t{n}', ARRAY['id'], 'p');
             CREATE INDEX ON t{n} (name); CREATE INDEX ON t{n} (s); CREATE INDEX ON t{n} (e, name)"
        ));
    }
    let before = system.fingerprint();
    for method in ["tables", "pg_dump"] {
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\njobs = 2\n").as_bytes());
        system.create();
        for is_there in [true, false] {
            if !is_there {
                system.drop_database();
            }
            system.larder(&RESTORE).exits(0);
            assert_eq!(system.fingerprint(), before, "{method}");
        }
    }
}
