//! Roles that a database needs and the server has lost.

use crate::support::{System, roles_go, run};

/// A setting of two lines ended the restore, and the second try succeeded without memberships, settings and comments.
#[test]
fn roles_come_back_with_settings_of_several_lines_memberships_and_comments() {
    let mut system = System::with_numbers(3);
    let [first, second] = ["NOLOGIN", "NOLOGIN"].map(|options| system.new_role(options));
    let set = format!(
        "ALTER ROLE {first} SET \"app.motd\" = E'one\\ntwo; it''s \\\\ $$ three'; ALTER ROLE {first} SET statement_timeout = '1min';
         GRANT {first} TO {second} WITH ADMIN OPTION; COMMENT ON ROLE {first} IS E'of two\\nlines';"
    );
    system.sql(&format!(
        "{set} ALTER TABLE numbers OWNER TO {first}; CREATE TABLE t (a int); ALTER TABLE t OWNER TO {second}"
    ));
    let roles = format!(
        "SELECT rolname, rolconfig, shobj_description(oid, 'pg_authid'), (SELECT string_agg(member::regrole || ' ' || admin_option, ',') FROM pg_auth_members WHERE roleid = r.oid)
            FROM pg_roles r WHERE rolname IN ('{first}', '{second}') ORDER BY 1"
    );
    let (before, all) = (system.server.sql("postgres", &roles), system.fingerprint());
    for method in ["tables", "pg_dump"] {
        let missing_roles = roles_go();
        let larder = |words: &[&str]| run(&mut system.command(words)).exits(0);
        system.write("larder.toml", format!("[database]\nmethod = \"{method}\"\n").as_bytes());
        larder(&["create"]);
        system.drop_database();
        system.drop_roles();
        larder(&["restore", "latest", "--components", "database", "--force", "--no-snapshot"]);
        drop(missing_roles);
        assert_eq!(system.server.sql("postgres", &roles), before, "{method}");
        assert_eq!(system.fingerprint(), all, "{method}");
    }
}
