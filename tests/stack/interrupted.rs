//! Containers go on however a command ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::proxy::Proxy;
use crate::support::{Stack, component, noise, run, until};

/// Bytes of an archive that arrive at once: more than its first entries.
const QUICK_BYTES: usize = 1 << 20;
/// Zeros cost no room in the repository, and the engine sends every one of them: slowly, which takes more
/// than a minute.
const ZEROS: u64 = 256 << 20;
/// Has the engine make an archive of the volume, which the proxy can slow down.
const THROUGH_ENGINE: &str = "[volumes.ollama_data]\nmethod = \"engine\"\n";

/// A system whose volume can be made to take more than a minute to be read through the engine, under the hold.
struct Slow {
    stack: Stack,
    proxy: Proxy,
}

impl Slow {
    /// A system with models, and a file of zeros in their volume.
    fn new() -> Self {
        let mut stack = Stack::bare();
        let proxy = Proxy::start(&stack.host);
        stack.host = proxy.host();
        stack.start_models();
        write_zeros(&stack.mountpoint(&stack.volume("ollama_data")));
        Self { stack, proxy }
    }

    /// The same, which takes long from the beginning.
    fn at_once() -> Self {
        let slow = Self::new();
        slow.slow_down();
        slow
    }

    /// From now on the volume is read through the engine, and that takes long.
    fn slow_down(&self) {
        self.stack.configure(THROUGH_ENGINE);
        self.proxy.slow_archives_after(QUICK_BYTES);
    }

    /// Starts a command, and waits until it reads the volume, while the container of a service is in this state.
    fn begin(&self, arguments: &[&str], service: &str, state: &str) -> Child {
        self.spawn(&mut self.stack.command(arguments), service, state)
    }

    fn spawn(&self, command: &mut Command, service: &str, state: &str) -> Child {
        let before = self.proxy.slowed();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("larder starts");
        until("a part of the archive has arrived", || self.proxy.slowed() > before);
        assert_eq!(self.stack.state(service), state, "{service} is held");
        child
    }
}

fn write_zeros(volume: &Path) {
    std::fs::File::create(volume.join("zeros")).and_then(|file| file.set_len(ZEROS)).expect("written");
}

fn signal(child: &Child, name: &str) {
    run(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string())).exits(0);
}

#[test]
fn an_interrupted_backup_lets_containers_go_on() {
    let slow = Slow::at_once();
    let stack = &slow.stack;
    for name in ["INT", "TERM", "HUP"] {
        let mut child = slow.begin(&["create"], "ollama", "paused");
        signal(&child, name);
        // A second one does not keep it from letting the container go on.
        signal(&child, name);
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "{name}");
        assert_eq!(stack.state("ollama"), "running", "{name}");
    }
}

#[test]
fn a_backup_that_is_to_outlive_its_terminal_does() {
    let slow = Slow::at_once();
    let stack = &slow.stack;
    let larder = stack.command(&["create"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(larder.get_program()).args(larder.get_args());
    let mut child = slow.spawn(command.env("DOCKER_HOST", &stack.host), "ollama", "paused");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("the kernel says it").trim();
    assert!(ignored.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']), "SIGHUP is still ignored: {ignored}");
    signal(&child, "INT");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    stack.assert_runs(&["ollama"]);
}

/// Kills a command and who looks after what it holds, as a host does that loses its power.
fn kill_all(child: &mut Child) {
    let guardians = Command::new("pgrep").args(["-f", "guard-containers", "-P", &child.id().to_string()]).output();
    let guardians = String::from_utf8_lossy(&guardians.expect("pgrep runs").stdout).into_owned();
    assert_ne!(guardians, "", "nobody looks after what is held");
    // Stopped, it can neither go on nor start another one.
    signal(child, "STOP");
    for guardian in guardians.lines() {
        run(Command::new("kill").args(["-KILL", guardian])).exits(0);
    }
    signal(child, "KILL");
    child.wait().expect("it ends");
}

/// Containers stayed frozen until somebody called the next command, which after a crash may be the next day.
#[test]
fn what_a_killed_backup_held_goes_on_at_once() {
    let slow = Slow::at_once();
    let stack = &slow.stack;
    for name in ["KILL", "ABRT"] {
        let mut child = slow.begin(&["create"], "ollama", "paused");
        signal(&child, name);
        assert_eq!(child.wait().expect("it ends").code(), None, "{name}");
        until("it goes on", || stack.state("ollama") == "running");
    }
    until("it is noted", || !stack.larder(&["list"]).stderr.contains("held"));
}

/// The engine went on stopping the container of a backup that was killed meanwhile. It still ran when it was looked at, so nobody
/// started it again.
#[test]
fn what_is_still_being_stopped_when_a_backup_is_killed_is_started() {
    const LINGERING: &str = "trap 'touch /x/ending; sleep 2; exit 0' TERM; while :; do sleep 1 & wait $!; done";
    let stack = Stack::bare();
    let ending = stack.create_volume("x", &[]).join("ending");
    stack.start("slow", (&stack.volume("x"), "/x"), &["--user", "0:0"], &["sh", "-c", LINGERING]);
    stack.configure("[volumes.x]\nquiesce = \"stop\"\n");
    let started = || stack.docker(&["inspect", "-f", "{{.State.StartedAt}}", &stack.container("slow")]).text();
    for is_guarded in [true, false] {
        let before = started();
        let mut child =
            stack.command(&["create"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        until("it is being stopped", || ending.exists());
        if is_guarded {
            signal(&child, "KILL");
            child.wait().expect("it ends");
        } else {
            kill_all(&mut child);
            stack.larder(&["list"]).exits(0);
            assert_ne!(started(), before, "the next command has waited for it");
        }
        until("it is started again", || started() != before && stack.state("slow") == "running");
        std::fs::remove_file(&ending).expect("the tests run as root");
    }
}

#[test]
fn a_killed_backup_is_made_good_by_the_next_command() {
    let slow = Slow::at_once();
    let stack = &slow.stack;
    let mut child = slow.begin(&["create"], "ollama", "paused");
    kill_all(&mut child);
    assert_eq!(stack.state("ollama"), "paused", "nobody could let it go on");
    let listed = stack.larder(&["list"]);
    assert!(listed.stderr.contains(&stack.container("ollama")), "{}", listed.stderr);
    assert_eq!(stack.state("ollama"), "running");
    let again = stack.larder(&["list"]);
    assert!(!again.stderr.contains("held"), "once is enough: {}", again.stderr);
    // Its helper is in nobody's way, and gone with the next one.
    std::fs::remove_file(stack.mountpoint(&stack.volume("ollama_data")).join("zeros")).expect("it is there");
    stack.create();
    assert_eq!(stack.helpers("ollama_data"), "");
}

/// A container that a killed backup has left stopped runs again before the next one looks who writes.
#[test]
fn what_a_killed_backup_held_is_a_writer_again_in_the_next_one() {
    let slow = Slow::new();
    let stack = &slow.stack;
    let volume = stack.mountpoint(&stack.volume("ollama_data"));
    let kill_one = |quiesce: &str, state: &str| {
        write_zeros(&volume);
        slow.slow_down();
        stack.configure(&format!("{THROUGH_ENGINE}quiesce = \"{quiesce}\"\n"));
        let mut child = slow.begin(&["create"], "ollama", state);
        kill_all(&mut child);
        std::fs::remove_file(volume.join("zeros")).expect("it is there");
    };
    for (quiesce, state, consistency) in [("pause", "paused", "paused"), ("stop", "exited", "stopped")] {
        kill_one(quiesce, state);
        stack.larder(&["create", "--dry-run"]).exits(0);
        stack.assert_runs(&["ollama"]);
        kill_one(quiesce, state);
        let night = stack.create();
        let models = component(&night, "docker_volume_ollama_data");
        assert_eq!(models["consistency"], consistency, "{models}");
        assert_eq!(models["volume"]["held"].as_array().map(Vec::len), Some(1), "{models}");
        stack.assert_runs(&["ollama"]);
    }
}

/// What a killed restore has left half-written is not started, and the next one that ends well starts it.
#[test]
fn a_killed_restore_keeps_its_container_stopped() {
    let slow = Slow::new();
    let stack = &slow.stack;
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    std::fs::remove_file(models.join("zeros")).expect("it is there");
    stack.write("ollama_data", "model.bin", &noise(1 << 20, 1));
    let before = stack.files(&stack.volume("ollama_data"));
    let first = stack.create()["name"].as_str().expect("a name").to_owned();
    write_zeros(&models);
    let second = stack.create()["name"].as_str().expect("a name").to_owned();
    slow.slow_down();
    let components = ["--components", "docker_volume_ollama_data", "--force", "--no-snapshot"];
    let mut child = slow.begin(&[&["restore", &second], &components[..]].concat(), "ollama", "exited");
    signal(&child, "KILL");
    child.wait().expect("it ends");
    let listed = stack.larder(&["list"]).exits(0);
    assert!(listed.stderr.contains(&format!("larder restore {second}")), "{}", listed.stderr);
    assert_eq!(stack.state("ollama"), "exited", "its volume may be half-written");
    stack.configure("");
    let restored = stack.larder(&[&["restore", &first], &components[..]].concat()).exits(0);
    assert_eq!(stack.state("ollama"), "running", "{}", restored.stderr);
    assert_eq!(stack.files(&stack.volume("ollama_data")), before);
    assert_eq!(stack.larder(&["list"]).exits(0).stderr, "");
}

/// What an interrupted restore did is told, and a container whose volume it did not touch goes on.
#[test]
fn an_interrupted_restore_says_what_it_did() {
    let slow = Slow::new();
    let stack = &slow.stack;
    // Whether it is to stop is asked at each entry: at the next one after the zeros.
    stack.write("ollama_data", "zeros-end", b"1");
    let name = stack.create()["name"].as_str().expect("a name").to_owned();
    // The engine sends every zero to be looked at, before anything is written.
    slow.slow_down();
    let components = ["--components", "docker_volume_ollama_data", "--force", "--no-snapshot"];
    let child = slow.begin(&[&["restore", &name], &components[..]].concat(), "ollama", "exited");
    signal(&child, "INT");
    slow.proxy.open();
    let output = child.wait_with_output().expect("it ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("NOT fully restored: 1 component failed"), "{said}");
    stack.assert_runs(&["ollama"]);
}

/// A killed restore into another volume is mended there: neither its advice nor another restore touches the original,
/// and a restore of the original starts nobody whose volume is half-written.
#[test]
fn a_killed_restore_into_another_volume_is_mended_there() {
    let slow = Slow::new();
    let stack = &slow.stack;
    let name = stack.create()["name"].as_str().expect("a name").to_owned();
    let test = stack.create_volume("test", &[]);
    stack.start("tester", (&stack.volume("test"), "/models"), &["--stop-signal", "KILL"], &["/bin/sleep", "600"]);
    write_zeros(&test);
    slow.slow_down();
    let components = ["restore", &name, "--components", "docker_volume_ollama_data", "--force", "--no-snapshot"];
    let mapping = format!("ollama_data={}", stack.volume("test"));
    let mut child = slow.begin(&[&components[..], &["--volume", &mapping]].concat(), "tester", "exited");
    signal(&child, "KILL");
    child.wait().expect("it ends");
    let listed = stack.larder(&["list"]).exits(0);
    assert!(listed.stderr.contains(&format!("--volume {mapping}")), "{}", listed.stderr);
    stack.configure("");
    stack.larder(&components).exits(0);
    assert_eq!(stack.state("tester"), "exited", "its volume may be half-written");
    stack.larder(&[&components[..], &["--volume", &mapping]].concat()).exits(0);
    stack.assert_runs(&["tester", "ollama"]);
    assert_eq!(stack.larder(&["list"]).exits(0).stderr, "");
}

/// A container stayed paused for as long as its run was stopped, or waited for a disk that hung.
#[test]
fn a_run_that_stands_still_holds_nobody_for_longer_than_it_may() {
    let slow = Slow::at_once();
    let stack = &slow.stack;
    stack.configure(&format!("{THROUGH_ENGINE}[docker]\nhold_secs = 5\n"));
    let child = slow.begin(&["create"], "ollama", "paused");
    signal(&child, "STOP");
    until("it goes on", || stack.state("ollama") == "running");
    slow.proxy.open();
    signal(&child, "CONT");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("it takes longer than the 5 s allowed"), "{said}");
    stack.assert_runs(&["ollama"]);
}

#[test]
fn a_hold_that_takes_too_long_is_given_up() {
    let stack = Stack::full();
    stack.configure("[docker]\nhold_secs = 0\n");
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    let redis = component(&night, "docker_volume_redis_data");
    assert_eq!((&redis["status"], &redis["consistency"]), (&"partial".into(), &"live".into()), "{redis}");
    assert!(redis["errors"].to_string().contains("allowed"), "{redis}");
    stack.assert_runs(&["cti_postgres", "cti_redis", "ollama"]);
}

/// A server that is written to all the time comes back from its volume, and its data is sound.
#[test]
fn volumes_of_busy_servers_are_sound() {
    let stack = Stack::full();
    stack.sql("CREATE EXTENSION amcheck");
    stack.sql("CREATE TABLE busy (id bigserial PRIMARY KEY, text text); CREATE INDEX ON busy (text)");
    let writer = "while psql -X -q -U cti -d cti -c \"INSERT INTO busy (text) SELECT md5(random()::text) FROM generate_series(1, 500)\"; do :; done";
    let pusher = "i=0; while redis-cli -x set big >/dev/null < /bin/bash && redis-cli incr n >/dev/null; do :; done";
    for (service, script) in [("cti_postgres", writer), ("cti_redis", pusher)] {
        stack.docker(&["exec", "--detach", &stack.container(service), "sh", "-c", script]).exits(0);
    }
    stack.write("ollama_data", "more.bin", &noise(30 << 20, 9));
    until("something was written", || stack.sql("SELECT count(*) > 5000 FROM busy") == "t");
    let night = stack.create();
    let name = night["name"].as_str().expect("a name");
    let [data, keys] = ["postgres_data", "redis_data"].map(|name| format!("{}_test_{name}", stack.project));
    let mappings = [format!("postgres_data={data}"), format!("redis_data={keys}")];
    let components = "docker_volume_postgres_data,docker_volume_redis_data";
    let command =
        ["restore", name, "--components", components, "--volume", &mappings[0], "--volume", &mappings[1], "--force"];
    stack.larder(&command).exits(0);
    stack.start_postgres_on("test_postgres", &data, &stack.mountpoint(&data));
    let checked = stack.exec("test_postgres", &["pg_amcheck", "-U", "cti", "--heapallindexed", "cti"]).exits(0);
    assert_eq!(checked.text(), "", "pg_amcheck has nothing to say");
    assert!(
        stack
            .try_sql("test_postgres", "cti", "SELECT count(*) FROM busy")
            .text()
            .parse::<u64>()
            .is_ok_and(|n| n > 5000)
    );
    stack.start_redis_on("test_redis", &keys);
    let loaded = stack.exec("test_redis", &["redis-cli", "mget", "first", "second"]).text();
    assert_eq!(loaded, "1\n2");
}
