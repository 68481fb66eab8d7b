//! What root in a container makes in a directory of the host that it may write to: it is root's on the host.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::{Disk, Stack, component, run, text};

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
    let refused = stack.larder(&["create"]).exits(1);
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
    let state = tempfile::tempdir().expect("a folder");
    for arguments in [&["plan"][..], &["create"]] {
        let all = run(stack.command(arguments).env("STATE_DIRECTORY", state.path())).exits(0).all();
        assert!(all.contains("whoever is root in it decides over larder.toml"), "{all}");
    }
}

/// A system with `data/uploads` as a component, and a secret elsewhere.
fn with_uploads(stack: &Stack) {
    fs::create_dir_all(stack.path("data/uploads")).expect("ours");
    fs::write(stack.path("data/uploads/file"), "hi").expect("ours");
    fs::create_dir(stack.path("secret")).expect("ours");
    fs::write(stack.path("secret/key"), "a secret").expect("ours");
    stack.create_volume("x", &[]);
    configure_uploads(stack, "data/uploads");
}

fn configure_uploads(stack: &Stack, path: &str) {
    stack.configure(&format!("[directories]\nuploads = {path:?}\n[volumes.bound]\nskip = true\n"));
}

/// Puts a link to the secret into the place of the component, as root in a container would.
fn plant(stack: &Stack, uploads: &Path) {
    fs::rename(uploads, uploads.with_file_name("moved")).expect("ours");
    symlink(stack.path("secret"), uploads).expect("ours");
}

fn assert_refused(stack: &Stack, first: &str, what: &str) {
    let run = stack.larder(&["create", "--json", "--components", "uploads"]);
    assert!(run.code != 0 && run.all().contains("lies where a container may write"), "{what}: {}", run.all());
    let run = stack.larder(&["restore", first, "--force", "--no-snapshot", "--components", "uploads"]);
    assert!(run.code != 0 && run.all().contains("lies where a container may write"), "{what}: {}", run.all());
    assert_eq!(fs::read_dir(stack.path("secret")).expect("list").count(), 1, "{what}");
}

/// Only plain bind mounts counted: what a container wrote to by a volume, or below what it had only to read, was believed.
#[test]
fn links_are_followed_in_no_place_that_a_container_writes_to() {
    let bound = Stack::bare();
    with_uploads(&bound);
    let device = format!("device={}", bound.path("data").display());
    bound
        .docker(&[
            "volume",
            "create",
            "--opt",
            "type=none",
            "--opt",
            "o=bind",
            "--opt",
            &device,
            &bound.volume("bound"),
        ])
        .exits(0);
    let first = text(&bound.create()["name"]);
    plant(&bound, &bound.path("data/uploads"));
    assert_refused(&bound, &first, "the folder that a volume is");

    let plain = Stack::bare();
    with_uploads(&plain);
    let uploads = plain.mountpoint(&plain.volume("x")).join("uploads");
    fs::create_dir(&uploads).expect("ours");
    configure_uploads(&plain, &uploads.to_string_lossy());
    let first = text(&plain.create()["name"]);
    plant(&plain, &uploads);
    assert_refused(&plain, &first, "a volume");
    // A link of the operator on the way leads there all the same.
    symlink(plain.mountpoint(&plain.volume("x")), plain.path("way")).expect("ours");
    configure_uploads(&plain, "way/uploads");
    assert_refused(&plain, &first, "a link into a volume");

    let below = Stack::bare();
    with_uploads(&below);
    let _disk = Disk::mount(&below.path("data"), "size=1m");
    let uploads = below.path("data/uploads");
    fs::create_dir(&uploads).expect("ours");
    let bind = format!("{}:/app:ro", below.path("").display());
    below.start("app", (&below.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    let first = text(&below.create()["name"]);
    plant(&below, &uploads);
    assert_refused(&below, &first, "a mount below what is only read");
}

/// A link stays when its container is gone, or while the engine does not answer; then it was followed.
#[test]
fn links_of_a_container_that_is_gone_are_not_followed() {
    let stack = Stack::bare();
    with_uploads(&stack);
    let bind = format!("{}:/data", stack.path("data").display());
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    let first = text(&stack.create()["name"]);
    plant(&stack, &stack.path("data/uploads"));
    stack.docker(&["rm", "--force", &stack.container("app")]).exits(0);
    assert_refused(&stack, &first, "the container is gone");
    let away = ["restore", &first, "--force", "--no-snapshot", "--components", "uploads"];
    let refused = run(stack.command(&away).env("DOCKER_HOST", "unix:///nowhere"));
    assert!(refused.code != 0 && refused.all().contains("lies where a container may write"), "{}", refused.all());
    assert_eq!(fs::read_dir(stack.path("secret")).expect("list").count(), 1);
}

/// Commands that ask no engine wrote through links that a container had put on the way to what they were given.
#[test]
fn commands_that_ask_no_engine_follow_no_link_of_a_container() {
    let stack = Stack::bare();
    with_uploads(&stack);
    let bind = format!("{}:/data", stack.path("data").display());
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    stack.create();
    symlink(stack.path("secret"), stack.path("data/link")).expect("ours");
    let link = |name: &str| stack.path("data/link").join(name).to_string_lossy().into_owned();
    for arguments in [
        &["restore", "latest", "--target", &link("t")][..],
        &["export", "latest", "--to", &link("e")],
        &["export", "latest", "--tar", &link("t.tar")],
        &["--config", &link("key"), "plan"],
        &["savings", "--svg", &link("s.svg")],
        &["shim", "--into", &link("s")],
        &["man", "--to", &link("m")],
        &["setup", "--prefix", &link("p")],
        &["schedule", "install", "--with", "cron", "--root", &link("root")],
    ] {
        let refused = stack.larder(arguments);
        assert!(
            refused.code != 0 && refused.all().contains("lies where a container may write"),
            "{arguments:?}: {}",
            refused.all()
        );
    }
    let elsewhere = stack.path("data/link/r");
    let refused = run(&mut stack.command_on(&elsewhere, &["create"]));
    assert!(refused.code != 0 && refused.all().contains("lies where a container may write"), "{}", refused.all());
    assert_eq!(fs::read_dir(stack.path("secret")).expect("list").count(), 1, "nothing was written");
}

/// Only directories were told of: a mounted `larder.toml` was written by whoever is root in the container, without a word.
#[test]
fn a_container_that_may_write_to_a_file_that_decides_is_told() {
    let stack = Stack::bare();
    with_uploads(&stack);
    let mut options = Vec::new();
    for file in ["larder.toml", ".env", "compose.yaml"] {
        if file != "larder.toml" {
            fs::write(stack.path(file), "").expect("ours");
        }
        options.extend(["--volume".to_owned(), format!("{}:/{file}", stack.path(file).display())]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    stack.start("app", (&stack.volume("x"), "/x"), &options, &WAITING);
    let all = stack.larder(&["plan"]).exits(0).all();
    for file in ["larder.toml", ".env", "compose.yaml"] {
        let told = format!("a container may write to {}: whoever", stack.path(file).display());
        assert!(all.contains(&told), "{file}: {all}");
    }
    assert!(!all.contains("decides over larder.toml"), "the directory is not theirs: {all}");
}

/// What a container has mounted was known by its path alone, and its links were followed once that had another name.
#[test]
fn a_place_is_known_by_what_a_container_has_there_and_not_by_its_name() {
    let renamed = Stack::bare();
    with_uploads(&renamed);
    let bind = format!("{}:/data", renamed.path("data").display());
    renamed.start("app", (&renamed.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    fs::rename(renamed.path("data"), renamed.path("new")).expect("ours");
    configure_uploads(&renamed, "new/uploads");
    let first = text(&renamed.create()["name"]);
    plant(&renamed, &renamed.path("new/uploads"));
    assert_refused(&renamed, &first, "a folder that was renamed");

    let linked = Stack::bare();
    with_uploads(&linked);
    symlink("data", linked.path("way")).expect("ours");
    let bind = format!("{}:/data", linked.path("way").display());
    linked.start("app", (&linked.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    fs::create_dir(linked.path("other")).expect("ours");
    fs::remove_file(linked.path("way")).expect("ours");
    symlink("other", linked.path("way")).expect("ours");
    let first = text(&linked.create()["name"]);
    plant(&linked, &linked.path("data/uploads"));
    assert_refused(&linked, &first, "a link that leads elsewhere by now");
}

/// Only what was known from before counted: a container that had been started since read what root restored.
#[test]
fn what_containers_may_write_to_is_asked_for_when_it_is_needed() {
    let stack = Stack::bare();
    with_uploads(&stack);
    stack.create();
    for name in ["late", "real"] {
        fs::create_dir(stack.path(name)).expect("ours");
        fs::set_permissions(stack.path(name), fs::Permissions::from_mode(0o700)).expect("ours");
    }
    let bind = |name: &str| format!("{}:/{name}", stack.path(name).display());
    let (late, real) = (bind("late"), bind("real"));
    let options = ["--volume", &late, "--volume", &real, "--ipc", "host"];
    stack.start("app", (&stack.volume("x"), "/x"), &options, &WAITING);
    fs::rename(stack.path("real"), stack.path("renamed")).expect("ours");
    let shared = format!("/dev/shm/{}", stack.project);
    for place in
        [stack.path("late/look").display().to_string(), stack.path("renamed/look").display().to_string(), shared]
    {
        for arguments in [["restore", "latest", "--target", &place], ["export", "latest", "--to", &place]] {
            let refused = stack.larder(&arguments).exits(2);
            assert!(refused.stderr.contains("a container may write"), "{arguments:?}: {refused:?}");
            assert!(!Path::new(&place).exists());
        }
    }
}

/// What root had for a while in a folder of a container was read there, and exchanged: programs of the container ran as root of the host.
#[test]
fn what_root_has_for_a_while_is_in_no_folder_of_a_container() {
    let stack = Stack::bare();
    with_uploads(&stack);
    let temporary = stack.path("temporary");
    fs::create_dir(&temporary).expect("ours");
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777)).expect("ours");
    let bind = format!("{}:/shared", temporary.display());
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    stack.create();
    let [look, archive] = ["look", "archive.tar"].map(|name| temporary.join(name).display().to_string());
    let elsewhere = stack.path("archive.tar").display().to_string();
    for arguments in [
        &["restore", "latest", "--target", &look][..],
        &["export", "latest", "--to", &look],
        &["export", "latest", "--tar", &archive],
        &["export", "latest", "--tar", &elsewhere],
        &["verify", "latest", "--test-restore"],
        &["verify", "latest", "--drill"],
        &["savings", "--simulate", "1"],
    ] {
        let refused = run(stack.command(arguments).env("TMPDIR", &temporary)).exits(2);
        assert!(refused.stderr.contains("a container may write"), "{arguments:?}: {refused:?}");
        assert_eq!(fs::read_dir(&temporary).expect("list").count(), 0, "{arguments:?}");
    }
    run(stack.command(&["--trust-files", "export", "latest", "--tar", &archive]).env("TMPDIR", &temporary)).exits(0);
}

/// A link in the place of a folder that root named had what lies elsewhere restored into the directory of the container.
#[test]
fn what_is_imported_is_found_through_no_link_of_a_container() {
    let stack = Stack::bare();
    with_uploads(&stack);
    stack.create();
    let exports = stack.path("exports").display().to_string();
    stack.larder(&["export", "latest", "--to", &exports]).exits(0);
    fs::create_dir(stack.path("old")).expect("ours");
    let bind = format!("{}:/old", stack.path("old").display());
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    let name = fs::read_dir(&exports).expect("there").next().expect("one").expect("an entry").file_name();
    let link = stack.path("old").join(&name);
    symlink(Path::new(&exports).join(&name), &link).expect("ours");
    let link = link.display().to_string();
    for arguments in [&["restore", &link, "--force"][..], &["import", &link], &["verify", &link]] {
        let refused = stack.larder(arguments).exits(1);
        assert!(refused.stderr.contains("lies where a container may write"), "{arguments:?}: {refused:?}");
    }
}

/// Who wrote to what is remembered had containers of others run, and hid that a restore had not ended well.
#[test]
fn what_is_remembered_lies_where_no_container_may_write() {
    let stack = Stack::bare();
    with_uploads(&stack);
    let state = stack.path("of-container");
    fs::create_dir(&state).expect("ours");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("ours");
    let bind = format!("{}:/state", state.display());
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    for arguments in [&["plan"][..], &["create"]] {
        let refused = run(stack.command(arguments).env("STATE_DIRECTORY", &state)).exits(2);
        assert!(refused.stderr.contains("where this host keeps what it has to remember"), "{arguments:?}: {refused:?}");
    }
    stack.create();
}
