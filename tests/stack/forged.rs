//! Programs of containers that never answer, or never end what they say: nobody waits for them for long, and what they say is
//! not kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use crate::support::{IMAGE, Stack, run, text, until};

/// Ends when it is asked to.
const WAITING: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"];
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

/// A restore was waited for as long as the `rm` of an image took, and its containers stood still meanwhile.
#[test]
fn a_removal_that_never_ends_can_be_interrupted() {
    let stack = Stack::bare();
    let volume = stack.create_volume("x", &[]);
    let (image, name) = (format!("larder-forged-{}", stack.project), stack.container("app"));
    let rm = stack.path("rm");
    fs::write(&rm, "#!/bin/sh\nwhile :; do sleep 100; done\n").expect("the folder is ours");
    fs::set_permissions(&rm, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    stack.docker(&["create", "--name", &name, IMAGE, "rm"]).exits(0);
    let rm = rm.to_string_lossy().into_owned();
    for (from, to) in [("/bin/sh", "/bin/sh"), ("/bin/sleep", "/bin/sleep"), (&rm, "/bin/rm")] {
        stack.docker(&["cp", "--follow-link", from, &format!("{name}:{to}")]).exits(0);
    }
    stack.docker(&["commit", &name, &image]).exits(0);
    stack.docker(&["rm", &name]).exits(0);
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
