//! What a drill proves, and what it does not take for proven.

use serde_json::Value;

use std::process::Command;

use crate::support::{Stack, run, server_programs, server_user, text};

/// Imports an image with a PostgreSQL server that has an extension of its own, and starts as the well-known ones do.
const SERVER_IMAGE_SCRIPT: &str = r#"
set -e
programs=$1 user=$2 host=$3 image=$4
version=$(basename "$(dirname "$programs")")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
with_libraries() {
    for file in "$@"; do
        cp -L --parents "$file" "$folder"
        ldd "$file" | grep -o '/[^ ]*' | while read -r library; do cp -L --parents "$library" "$folder"; done
    done
}
with_libraries /bin/sh $programs/initdb $programs/postgres $programs/psql $programs/pg_dump $programs/pg_isready
with_libraries "${programs%/bin}/lib/plpgsql.so" "${programs%/bin}/lib/dict_snowball.so"
cp -rL --parents /etc/passwd /etc/group "/usr/share/postgresql/$version" /usr/lib/locale/C.utf8 "$folder"
cp -rL --parents /usr/share/zoneinfo/Etc /usr/share/zoneinfo/UTC "$folder"
mkdir -p "$folder/tmp" "$folder/var/lib/postgresql/data" "$folder/var/run/postgresql"
chmod 1777 "$folder/tmp"
chown -R "$user:$user" "$folder/var/lib/postgresql" "$folder/var/run/postgresql"
extension=$folder/usr/share/postgresql/$version/extension/larder_only
printf "default_version = '1'
" >"$extension.control"
printf 'CREATE FUNCTION only_here() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;
' >"$extension--1.sql"
cat >"$folder/entrypoint.sh" <<'END'
#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb -A trust -U "$POSTGRES_USER" -D "$PGDATA" --no-sync >/dev/null
    if [ -n "$POSTGRES_DB" ]; then
        echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres >/dev/null
    fi
fi
exec "$@"
END
chmod 755 "$folder/entrypoint.sh"
tar c -C "$folder" . | docker --host "$host" import --change "USER $user:$user" --change "ENV PATH=$programs:/bin"     --change 'ENV PGDATA=/var/lib/postgresql/data' --change 'VOLUME /var/lib/postgresql/data'     --change 'ENTRYPOINT ["/entrypoint.sh"]' --change 'CMD ["postgres"]' - "$image" >/dev/null
"#;

/// Starts a server of the project from an image that has everything itself.
fn start_own_server(stack: &Stack, image: &str) {
    let programs = server_programs();
    let mut make = Command::new("sh");
    make.arg("-c").arg(SERVER_IMAGE_SCRIPT).arg("sh").arg(programs).arg(server_user().to_string());
    run(make.args([&stack.host, image])).exits(0);
    stack.create_volume("postgres_data", &[]);
    let folder = stack.path("").canonicalize().expect("the folder is there");
    let labels = [
        format!("com.docker.compose.project={}", stack.project),
        "com.docker.compose.service=cti_postgres".to_owned(),
        format!("com.docker.compose.project.working_dir={}", folder.display()),
        "com.docker.compose.oneoff=False".to_owned(),
    ];
    let (name, volume) = (stack.container("cti_postgres"), stack.volume("postgres_data"));
    let mount = format!("type=volume,src={volume},dst=/var/lib/postgresql/data");
    let mut words = vec!["run", "--detach", "--name", &name, "--network", "none", "--mount", &mount];
    words.extend(labels.iter().flat_map(|label| ["--label", label]));
    words.extend(["--env", "POSTGRES_USER=cti", "--env", "POSTGRES_DB=cti", image]);
    stack.docker(&words).exits(0);
    stack.wait_for_postgres("cti_postgres");
}

fn test_of<'a>(report: &'a Value, name: &str) -> &'a Value {
    let tests = report["test_restore"].as_array().expect("a list");
    tests.iter().find(|test| test["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// What the host lacks, the image of the database's own container has: an extension, or the server itself.
#[test]
fn a_database_is_tested_in_the_image_of_its_container() {
    let stack = Stack::bare();
    let image = format!("larder-test-server-{}", stack.project);
    start_own_server(&stack, &image);
    stack.sql("CREATE EXTENSION larder_only; CREATE TABLE numbers AS SELECT generate_series(1, 50) AS id");
    let name = text(&stack.create()["name"]);
    let verify = |code: i32| stack.larder(&["verify", &name, "--test-restore", "--json"]).exits(code).json();
    let report = verify(0);
    assert_eq!(test_of(&report, "database")["rows"], 50, "{report}");
    let ancestor = format!("ancestor={image}");
    let made = || {
        let filters = ["--filter", "label=larder.helper", "--filter", &ancestor];
        stack.docker(&[&["ps", "--all", "--quiet"], &filters[..]].concat()).exits(0).text()
    };
    assert_eq!(made(), "", "the container that was made for it is gone");

    // As on a host where no server is installed.
    let hidden = "mount -t tmpfs none /usr/lib/postgresql && exec \"$@\"";
    let mut drill = Command::new("unshare");
    drill.args(["--mount", "sh", "-c", hidden, "sh", env!("CARGO_BIN_EXE_larder"), "-C"]).arg(stack.path(""));
    drill.arg("--backup-dir").arg(stack.repository()).args(["verify", &name, "--drill", "--json"]);
    let report = run(drill.env("DOCKER_HOST", &stack.host)).exits(0).json();
    assert_eq!(test_of(&report, "database")["rows"], 50, "{report}");
    assert_eq!(test_of(&report, "docker_volume_postgres_data")["server_started"], true, "{report}");
    assert_eq!(made(), "");

    stack.docker(&["rm", "--force", &stack.container("cti_postgres")]).exits(0);
    let report = verify(3);
    let why = test_of(&report, "database")["not_done"].to_string();
    assert!(why.contains("lacks the extension larder_only") && why.contains("no container"), "{report}");
    stack.docker(&["image", "rm", &image]).exits(0);
}

#[test]
fn a_dump_that_failed_fails_the_drill() {
    let stack = Stack::bare();
    stack.start_postgres();
    stack.configure("[database]\ncontainer = \"cti_postgres\"\nname = \"cti\"\nuser = \"nobody_such\"\n");
    let name = text(&stack.larder(&["create", "--json"]).exits(3).json()["name"]);
    let report = stack.larder(&["verify", &name, "--drill", "--json"]).exits(1).json();
    let database = test_of(&report, "database");
    assert!(database["errors"][0].as_str().is_some_and(|error| error.contains("could not be saved")), "{database}");
    assert!(database["notes"].to_string().contains("nobody_such"), "{database}");
}

#[test]
fn each_dump_is_tested_on_its_own_server() {
    let stack = Stack::bare();
    stack.start_postgres();
    let mountpoint = stack.create_volume("second_data", &[]);
    stack.start_postgres_on("second", &stack.volume("second_data"), &mountpoint);
    let name = text(&stack.create()["name"]);
    stack.sql("ALTER DATABASE template0 RENAME TO elsewhere");
    let words = ["verify", &name, "--test-restore", "--on-live-server", "--json"];
    let report = stack.larder(&words).exits(1).json();
    assert!(test_of(&report, "database")["errors"].to_string().contains("template0"), "{report}");
    assert_eq!(test_of(&report, "database_second")["errors"], Value::from(Vec::<Value>::new()), "{report}");
}

#[test]
fn a_server_on_a_copy_reaches_nothing_beyond_it() {
    let stack = Stack::bare();
    stack.start_postgres();
    let data = stack.mountpoint(&stack.volume("postgres_data"));
    let settings = "data_directory = '/nonexistent'\nhba_file = '/nonexistent/hba'\nident_file = '/nonexistent/ident'\n\
        external_pid_file = '/nonexistent/pid'\nlogging_collector = on\nprimary_conninfo = 'host=/nonexistent'\n";
    let configuration = data.join("postgresql.conf");
    let before = std::fs::read_to_string(&configuration).expect("it is there");
    std::fs::write(&configuration, before + settings).expect("written");
    std::fs::write(data.join("standby.signal"), "").expect("written");
    let drill = || {
        let name = text(&stack.create()["name"]);
        let report = stack.larder(&["verify", &name, "--drill", "--json"]).exits(0).json();
        test_of(&report, "docker_volume_postgres_data").clone()
    };
    assert_eq!(drill()["server_started"], true);
    std::os::unix::fs::symlink("/nonexistent", data.join("pg_tblspc/17000")).expect("linked");
    let test = drill();
    assert_eq!(test["server_started"], Value::Null);
    assert!(test["notes"].to_string().contains("pg_tblspc/17000"), "{test}");
}
