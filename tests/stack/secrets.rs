//! Secrets that Larder is given, or comes across: they are in nothing that it stores, says, or gives to a program as an argument.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Run, Stack, component, run, text};

/// A word that stands nowhere else.
fn planted(name: &str) -> String {
    format!("planted{name}{}x", std::process::id())
}

/// What was found of the secrets, in which place.
struct Look {
    secrets: Vec<String>,
    found: Mutex<Vec<String>>,
}

impl Look {
    fn at(&self, place: &str, bytes: &[u8]) {
        for secret in self.secrets.iter().filter(|secret| memchr::memmem::find(bytes, secret.as_bytes()).is_some()) {
            self.found.lock().expect("nobody panics").push(format!("{secret} in {place}"));
        }
    }

    fn run(&self, place: &str, command: &mut Command) -> Run {
        let ended = run(command);
        self.at(&format!("standard output of {place}"), ended.stdout.as_bytes());
        self.at(&format!("standard error of {place}"), ended.stderr.as_bytes());
        ended
    }

    fn files(&self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            match entry.file_type().expect("it is there") {
                kind if kind.is_dir() => self.files(&path),
                kind if kind.is_file() => self.at(&path.display().to_string(), &fs::read(&path).unwrap_or_default()),
                _ => {}
            }
        }
    }

    /// The arguments of all processes, again and again until it is over.
    fn arguments(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Acquire) {
            for process in fs::read_dir("/proc").expect("there is a /proc").flatten() {
                let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
                self.at(&format!("arguments: {}", String::from_utf8_lossy(&line)), &line);
            }
        }
    }
}

/// Ends what looks at arguments, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A volume that is a folder of this host, whose options have a password that means nothing, and a container that uses it.
fn bind_with_password(stack: &Stack, volume: &str, password: &str) {
    let bound = stack.path("../bound");
    fs::create_dir(&bound).expect("the folder is ours");
    let (device, o) = (format!("device={}", bound.display()), format!("o=bind,password={password}"));
    stack.create_volume(volume, &["--opt", "type=none", "--opt", &device, "--opt", &o]);
    let variable = format!("API_TOKEN={}", planted("container"));
    let place = stack.volume(volume);
    stack.start("its", (&place, "/models"), &["--user", "0:0", "--env", &variable], &["/bin/sleep", "600"]);
}

/// A database of the server of the tests, and the password of a role that may use it, in everything that can name one.
struct Database {
    place: String,
    name: String,
    password: String,
}

impl Database {
    fn new(stack: &Stack) -> Self {
        let server = std::env::var("LARDER_TEST_DATABASE_URL").expect("run tests/run");
        let (login, place) = server.split_once('@').expect("a login");
        let place = place.split_once('/').expect("a database").0.to_owned();
        let database = Self { place, name: stack.project.clone(), password: planted("role") };
        let admin = login.rsplit_once(':').expect("a password").1.to_owned();
        let sql = format!(
            "CREATE ROLE {0} SUPERUSER LOGIN PASSWORD '{1}';\nCREATE DATABASE {0} OWNER {0};\n",
            database.name, database.password
        );
        database.psql(&admin, &sql);
        database
    }

    fn psql(&self, password: &str, sql: &str) {
        let mut psql = Command::new("psql");
        psql.env("PGPASSWORD", password).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"]);
        psql.arg(format!("postgres://larder@{}/postgres", self.place)).stdin(Stdio::piped());
        let mut child = psql.spawn().expect("psql starts");
        std::io::Write::write_all(child.stdin.as_mut().expect("piped"), sql.as_bytes()).expect("it reads");
        assert!(child.wait().expect("it ends").success());
    }

    fn url(&self, password: &str) -> String {
        format!("postgres://{0}:{password}@{1}/{0}", self.name, self.place)
    }

    fn drop(&self) {
        let server = std::env::var("LARDER_TEST_DATABASE_URL").expect("run tests/run");
        let admin =
            server.split_once('@').and_then(|(login, _)| login.rsplit_once(':')).expect("a password").1.to_owned();
        self.psql(&admin, &format!("DROP DATABASE {0} WITH (FORCE);\nDROP ROLE {0};\n", self.name));
    }
}

/// Passwords stood in the manifest and in `show --json`, as options of a volume that is mounted from a server.
#[test]
fn no_secret_is_stored_said_or_given_as_an_argument() {
    let stack = Stack::bare();
    let secrets = ["role", "wrong", "option", "device", "container", "engine", "file", "pgpass"];
    let look = Look { secrets: secrets.iter().map(|name| planted(name)).collect(), found: Mutex::default() };
    bind_with_password(&stack, "models", &planted("option"));
    stack.write("models", "model", b"a model");
    // Nobody uses it, and it cannot be mounted.
    let device = format!("device=//u:{}@server/share", planted("device"));
    let options = ["--opt", "type=cifs", "--opt", &device, "--opt", &format!("o=password={}", planted("option"))];
    stack.create_volume("remote", &options);
    let database = Database::new(&stack);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| look.arguments(&is_over));
        let _end = End(&is_over);
        runs(&look, &stack, &database);
    });
    database.drop();
    look.files(&stack.repository());
    let found = look.found.into_inner().expect("nobody panics");
    assert!(found.is_empty(), "{found:#?}");
}

/// Good and failing runs of everything that reads or says something.
fn runs(look: &Look, stack: &Stack, database: &Database) {
    let larder = |url: Option<&str>, arguments: &[&str]| {
        let mut command = stack.command(arguments);
        if let Some(url) = url {
            command.env("DATABASE_URL", url);
        }
        look.run(&arguments.join(" "), &mut command)
    };
    let url = database.url(&database.password);
    let created = larder(Some(&url), &["create", "--json", "-v"]).exits(3).json();
    let name = text(&created["name"]);
    let target = stack.path("../target").display().to_string();
    let exported = stack.path("../exported").display().to_string();
    for arguments in [
        &["list"][..],
        &["show", &name],
        &["ls", &name],
        &["diff", &name, &name],
        &["find", "*"],
        &["plan"],
        &["stats"],
        &["savings"],
        &["prune", "--dry-run"],
        &["verify", "--all", "--read-data"],
        &["verify", &name, "--test-restore"],
        &["restore", &name, "--dry-run"],
        &["restore", &name, "--target", &target],
        &["restore", &name, "--components", "database", "--force"],
        &["export", &name, "--to", &exported],
        &["schedule", "install", "--dry-run", "--with", "cron"],
        &["schedule", "install", "--dry-run", "--with", "systemd"],
    ] {
        larder(Some(&url), arguments);
        larder(Some(&url), &[arguments, &["--json"]].concat());
    }
    let listed = larder(None, &["ls", &format!("{name}:database")]).exits(0).stdout;
    assert!(listed.contains("globals.sql"), "{listed}");
    for file in
        ["globals.sql", "roles.json", "dump.sql", "pre-data.sql", "other-data.sql", "post-data.sql", "tables.json"]
    {
        larder(None, &["cat", &format!("{name}:database/{file}")]);
    }
    look.files(Path::new(&target));
    look.files(Path::new(&exported));
    failures(look, stack, database);
}

/// Addresses and files that name a database, and are wrong.
fn failures(look: &Look, stack: &Stack, database: &Database) {
    let wrong = planted("wrong");
    for url in [
        database.url(&wrong),
        database.url(&format!("{wrong}/x")),
        database.url(&format!("{wrong}?x")),
        format!("postgres://u:{wrong}@"),
        format!("postgres://u:{wrong}@host:port/db"),
        format!("postgresql://host/db?password={wrong}&nothing={wrong}"),
        format!("postgres:u:{wrong}@host/db"),
        format!("host=127.0.0.1 port=1 dbname=d password={wrong}"),
    ] {
        for arguments in [&["create"][..], &["plan"], &["plan", "--json"], &["create", "--json"]] {
            look.run("a wrong URL", stack.command(arguments).env("DATABASE_URL", &url));
        }
        stack.configure(&format!("[database]\nurl = {url:?}\n"));
        look.run("a wrong URL in larder.toml", &mut stack.command(&["create"]));
        stack.configure(&format!("[database]\nurl = {url:?}\nport = true\n"));
        look.run("a wrong port in larder.toml", &mut stack.command(&["create"]));
        stack.configure(&format!("[database]\nurl = {url:?} what\n"));
        look.run("larder.toml that is no TOML", &mut stack.command(&["create"]));
        stack.configure("");
    }
    let place = format!("url = \"postgres://{0}@{1}/{0}\"", database.name, database.place);
    fs::write(stack.path("password"), planted("file")).expect("the folder is ours");
    stack.configure(&format!("[database]\n{place}\npassword_file = \"password\"\n"));
    look.run("a wrong password file", &mut stack.command(&["create", "--json"]));
    stack.configure(&format!("[database]\n{place}\n"));
    fs::write(stack.path("pgpass"), format!("*:*:*:*:{}\n", planted("pgpass"))).expect("the folder is ours");
    let _ = run(Command::new("chmod").arg("600").arg(stack.path("pgpass")));
    look.run("a wrong PGPASSFILE", stack.command(&["create"]).env("PGPASSFILE", stack.path("pgpass")));
    for engine in ["tcp://u:SECRET@127.0.0.1:1", "http://u:SECRET@127.0.0.1:1", "ssh://u:SECRET@host", "u:SECRET@host"]
    {
        let engine = engine.replace("SECRET", &planted("engine"));
        for arguments in [&["plan"][..], &["create", "-v"], &["plan", "--json"]] {
            look.run("an engine", stack.command(arguments).env("DOCKER_HOST", &engine));
        }
        stack.configure(&format!("[docker]\nhost = {engine:?}\n"));
        look.run("an engine in larder.toml", stack.command(&["create"]).env_remove("DOCKER_HOST"));
        stack.configure("");
    }
}

/// A volume was made with a password that no snapshot should have; now that is asked for.
#[test]
fn a_volume_whose_options_have_a_secret_is_made_by_hand() {
    let stack = Stack::bare();
    let secret = planted("made");
    stack.configure(&format!("[docker]\nproject = \"{}\"\n", stack.project));
    bind_with_password(&stack, "its", &secret);
    stack.write("its", "model", b"a model");
    let name = text(&stack.create()["name"]);
    let shown = stack.larder(&["show", &name, "--json"]).exits(0).json();
    let options = &component(&shown, "docker_volume_its")["volume"]["options"];
    assert_eq!(options["o"], "bind,password=<secret>", "{shown}");
    // Where it is there, nothing is lacking.
    fs::write(stack.path("../bound/model"), "changed").expect("the folder is ours");
    stack.larder(&["restore", &name, "--force"]).exits(0);
    assert_eq!(fs::read(stack.path("../bound/model")).expect("it is back"), b"a model");

    stack.docker(&["rm", "--force", &stack.container("its")]).exits(0);
    stack.docker(&["volume", "rm", &stack.volume("its")]).exits(0);
    fs::remove_file(stack.path("../bound/model")).expect("it is there");
    for arguments in [&["--force", "--no-snapshot"][..], &["--dry-run"]] {
        let command = ["restore", &name, "--components", "docker_volume_its"];
        let refused = stack.larder(&[&command[..], arguments].concat());
        assert!(
            refused.code != 0 && refused.stderr.contains("<secret> stands for what no snapshot keeps"),
            "{refused:?}"
        );
        stack.docker(&["volume", "inspect", &stack.volume("its")]).exits(1);
        let line = refused.stderr.lines().find_map(|line| line.split_once("docker volume create ")).expect("a line").1;
        if arguments == ["--dry-run"] {
            let command = format!("docker --host {} volume create {}", stack.host, line.replace("<secret>", &secret));
            run(Command::new("sh").args(["-c", &command])).exits(0);
        }
    }
    stack.larder(&["restore", &name, "--components", "docker_volume_its", "--force", "--no-snapshot"]).exits(0);
    assert_eq!(fs::read(stack.path("../bound/model")).expect("it is back"), b"a model");
    let labels = stack.docker(&["volume", "inspect", "-f", "{{.Labels}} {{.Options}}", &stack.volume("its")]).text();
    assert!(labels.contains(&stack.project) && labels.contains(&secret), "{labels}");
}
