//! Transactions that were prepared, and have not ended.

use crate::support::System;

/// The server renames no database that has one: nobody could connect for minutes, and then nothing was restored.
#[test]
fn a_database_with_prepared_transactions_is_not_touched() {
    let system = System::with_numbers(5);
    system.create();
    let gid = system.database.clone();
    system.sql(&format!("BEGIN; DELETE FROM numbers; PREPARE TRANSACTION '{gid}'"));
    let words = ["restore", "latest", "--components", "database", "--force", "--no-snapshot"];
    for more in [&[][..], &["--dry-run"]] {
        let refused = system.larder(&[&words, more].concat()).exits(1);
        assert!(refused.all().contains(&gid) && refused.all().contains("ROLLBACK PREPARED"), "{refused:?}");
        assert_eq!(system.scratch_databases(), "");
    }
    let into = format!("{}_other", system.database);
    system.larder(&[&words, &["--into", into.as_str()][..]].concat()).exits(0);
    system.server.sql("postgres", &format!("DROP DATABASE {into}"));
    system.sql(&format!("ROLLBACK PREPARED '{gid}'"));
    system.larder(&words).exits(0);
    assert_eq!(system.sql("SELECT count(*) FROM numbers"), "5");
}
