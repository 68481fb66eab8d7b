//! Programs of containers that never answer, or never end what they say: nobody waits for them for long, and what they say is
//! not kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{IMAGE, Stack, component, run, text, until};

const ENDLESS: &str = "exec cat /dev/zero";
const SILENT: &str = "touch /x/asked; exec sleep 1000";
/// Ends when it is asked to.
const WAITING: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"];
/// The place of the program comes first.
const SEARCHED: [&str; 4] = ["--user", "0:0", "--env", "PATH=/x:/usr/bin:/bin"];

/// Puts a program into a volume that is `/x` in its container.
fn forge(stack: &Stack, program: &str, script: &str) {
    stack.write("x", program, format!("#!/bin/sh\n{script}\n").as_bytes());
    let path = stack.mountpoint(&stack.volume("x")).join(program);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("the tests run as root");
}

/// Interrupts a command, which must end for that.
fn interrupt(child: &mut Child) {
    run(Command::new("kill").args(["-INT", &child.id().to_string()])).exits(0);
    until("it ends", || child.try_wait().expect("it is ours").is_some());
    assert_eq!(child.wait().expect("it has ended").code(), Some(130));
}

fn spawn(stack: &Stack, arguments: &[&str]) -> Child {
    let mut command = stack.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("larder starts")
}

/// All that it said was held: gigabytes in seconds.
#[test]
fn a_client_of_redis_that_never_ends_is_given_up() {
    let stack = Stack::bare();
    stack.create_volume("x", &[]);
    forge(&stack, "redis-cli", ENDLESS);
    let server = ["redis-server", "--dir", "/x", "--save", ""];
    stack.start("redis", (&stack.volume("x"), "/x"), &SEARCHED, &server);
    let volume = component(&stack.create(), "docker_volume_x").to_string();
    assert!(volume.contains("it says more than 65536 bytes"), "{volume}");
    stack.assert_runs(&["redis"]);
}

/// The first thing that `psql` is asked is what it knows. That was waited for without end, and all of it was held.
#[test]
fn a_psql_that_never_answers_keeps_nobody() {
    let stack = Stack::bare();
    let asked = stack.create_volume("x", &[]).join("asked");
    let options = [&SEARCHED[..], &["--label", "larder.database=true"]].concat();
    stack.start("db", (&stack.volume("x"), "/x"), &options, &WAITING);
    forge(&stack, "psql", ENDLESS);
    let plan = stack.larder(&["plan", "--json"]).exits(3).json();
    let problem = text(&component(&plan, "database")["problem"]);
    assert!(problem.contains("psql in the container"), "{problem}");
    forge(&stack, "psql", SILENT);
    let mut child = spawn(&stack, &["create"]);
    until("psql is asked", || asked.exists());
    interrupt(&mut child);
}

/// An image with another `rm`, and the name of the container `app`.
fn forge_image(stack: &Stack, rm: &Path) -> (String, String) {
    let (image, name) = (format!("larder-forged-{}", stack.project), stack.container("app"));
    fs::set_permissions(rm, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    stack.docker(&["create", "--name", &name, IMAGE, "rm"]).exits(0);
    let rm = rm.to_string_lossy().into_owned();
    for (from, to) in [("/bin/sh", "/bin/sh"), ("/bin/sleep", "/bin/sleep"), (&rm, "/bin/rm")] {
        stack.docker(&["cp", "--follow-link", from, &format!("{name}:{to}")]).exits(0);
    }
    stack.docker(&["commit", &name, &image]).exits(0);
    stack.docker(&["rm", &name]).exits(0);
    (image, name)
}

/// A restore was waited for as long as the `rm` of an image took, and its containers stood still meanwhile.
#[test]
fn a_removal_that_never_ends_can_be_interrupted() {
    let stack = Stack::bare();
    let volume = stack.create_volume("x", &[]);
    let rm = stack.path("rm");
    fs::write(&rm, "#!/bin/sh\nwhile :; do sleep 100; done\n").expect("the folder is ours");
    let (image, name) = forge_image(&stack, &rm);
    stack.start_of((&image, "app"), (&stack.volume("x"), "/x"), &[], &WAITING);
    stack.write("x", "kept", b"1");
    stack.configure("[volumes.x]\nmethod = \"engine\"\n");
    let snapshot = text(&stack.create()["name"]);
    stack.write("x", "further", b"2");
    let mut child = spawn(&stack, &["restore", &snapshot, "--components", "docker_volume_x", "--force"]);
    let filter = ["ps", "--quiet", "--filter", "label=larder.helper", "--filter"];
    let mounts = format!("volume={}", stack.volume("x"));
    until("it is to be removed", || !stack.docker(&[&filter[..], &[&mounts]].concat()).exits(0).text().is_empty());
    assert_eq!(stack.state("app"), "exited");
    interrupt(&mut child);
    stack.assert_runs(&["app"]);
    assert!(volume.join("further").exists(), "nothing was removed");
    assert_eq!(stack.helpers("x"), "");
    stack.docker(&["rm", "--force", &name]).exits(0);
    stack.docker(&["image", "rm", &image]).exits(0);
}

/// The image of a container that had a volume only to read was run as root with the volume to write, and what it said was believed.
#[test]
fn the_rm_of_an_image_gets_only_what_its_container_may_write_and_is_not_believed() {
    let stack = Stack::bare();
    let volume = stack.create_volume("x", &[]);
    let rm = stack.path("rm");
    fs::write(&rm, "#!/bin/sh\n[ -z \"$3\" ] || : > /v/forged\n").expect("the folder is ours");
    let (image, name) = forge_image(&stack, &rm);
    let place = format!("{}:/x:ro", stack.volume("x"));
    stack.configure("[volumes.x]\nmethod = \"engine\"\n");
    stack.create_volume("y", &[]);
    stack.start_of((&image, "app"), (&stack.volume("y"), "/y"), &["--volume", &place], &WAITING);
    stack.write("x", "kept", b"1");
    let snapshot = text(&stack.create()["name"]);
    stack.write("x", "further", b"2");
    let restore = ["restore", &snapshot, "--components", "docker_volume_x", "--force"];
    let refused = stack.larder(&restore);
    assert!(refused.code != 0 && refused.stderr.contains("no container may write to it"), "{refused:?}");
    assert!(!volume.join("forged").exists(), "its rm has run");
    // That of a container that may write is run, and what it leaves is found.
    stack.docker(&["rm", "--force", &name]).exits(0);
    stack.start_of((&image, "app"), (&stack.volume("x"), "/x"), &[], &WAITING);
    let refused = stack.larder(&restore);
    assert!(refused.code != 0 && refused.stderr.contains("is in the volume after what"), "{refused:?}");
    assert!(volume.join("further").exists());
    assert_eq!(stack.state("app"), "exited", "nothing of it can be put back either");
    stack.docker(&["rm", "--force", &name]).exits(0);
    stack.docker(&["image", "rm", &image]).exits(0);
}
