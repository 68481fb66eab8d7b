//! What root in a container makes in a directory of the host that it may write to: it is root's on the host.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Stack, component, text};

const WAITING: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"];

/// A link that root in a container put in the place of a component had a file of the host saved, and another one removed.
#[test]
fn a_link_where_a_container_may_write_is_followed_nowhere() {
    let stack = Stack::bare();
    for directory in ["data/uploads", "other", "secret"] {
        fs::create_dir_all(stack.path(directory)).expect("ours");
    }
    fs::write(stack.path("data/uploads/file"), "hi").expect("ours");
    fs::write(stack.path("other/file"), "x").expect("ours");
    fs::write(stack.path("secret/key"), "a secret").expect("ours");
    fs::write(stack.path("data/password"), "a secret").expect("ours");
    stack.configure("[directories]\nuploads = \"data/uploads\"\nother = \"other\"\n");
    let bind = format!("{}:/data", stack.path("data").display());
    stack.create_volume("x", &[]);
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    let first = text(&stack.create()["name"]);
    fs::rename(stack.path("data/uploads"), stack.path("data/moved")).expect("ours");
    symlink(stack.path("secret"), stack.path("data/uploads")).expect("ours");

    let plan = stack.larder(&["plan", "--json"]).exits(3).json();
    let problem = text(&component(&plan, "uploads")["problem"]);
    assert!(problem.contains("lies where a container may write"), "{problem}");
    let run = stack.larder(&["create", "--json"]).exits(3);
    let saved = run.json();
    assert_eq!(component(&saved, "uploads")["status"], "failed", "{saved}");
    stack.larder(&["restore", &first, "--force", "--no-snapshot", "--components", "uploads"]).exits(1);
    assert_eq!(fs::read_dir(stack.path("secret")).expect("list").count(), 1, "nothing was written or removed");
    assert!(stack.path("secret/key").exists());
    stack.larder(&["--trust-files", "create"]).exits(0);
    // Another link, made where no container can, is as good as ever.
    fs::remove_file(stack.path("data/uploads")).expect("ours");
    fs::rename(stack.path("data/moved"), stack.path("data/uploads")).expect("ours");
    fs::rename(stack.path("other"), stack.path("real")).expect("ours");
    symlink("real", stack.path("other")).expect("ours");
    stack.create();

    symlink(stack.path("secret/key"), stack.path("data/link")).expect("ours");
    stack.configure("[database]\ncontainer = \"app\"\npassword_file = \"data/link\"\n");
    let refused = stack.larder(&["create"]).exits(2);
    assert!(refused.all().contains("lies where a container may write"), "{}", refused.all());
}

/// What the directory of the system says, and what is in the repository, decides what root does.
#[test]
fn a_container_that_may_write_to_the_directory_of_the_system_is_told() {
    let stack = Stack::bare();
    fs::create_dir_all(stack.path("config")).expect("ours");
    fs::write(stack.path("config/file"), "x").expect("ours");
    let bind = format!("{}:/app", stack.path("").display());
    stack.create_volume("x", &[]);
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    for arguments in [&["plan"][..], &["create"]] {
        let all = stack.larder(arguments).exits(0).all();
        assert!(all.contains("whoever is root in it decides over larder.toml"), "{all}");
    }
}
