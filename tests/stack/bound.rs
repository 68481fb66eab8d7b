//! Volumes that are a directory of the host (`o=bind`): where it lies is a matter of the host, and not of a snapshot or a container.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Run, Stack, component, run, text};

const WAITING: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"];

/// A volume of the project that is the directory `../bound`, with a container on it.
fn start_bound(stack: &Stack) -> PathBuf {
    stack.configure(&format!("[docker]\nproject = \"{}\"\n", stack.project));
    let bound = stack.path("../bound");
    fs::create_dir(&bound).expect("the folder is ours");
    fs::write(bound.join("file"), "saved").expect("the folder is ours");
    create_bound(stack);
    stack.start("its", (&stack.volume("bound"), "/x"), &["--user", "0:0"], &WAITING);
    bound
}

fn create_bound(stack: &Stack) {
    let device = format!("device={}", stack.path("../bound").display());
    stack.create_volume("bound", &["--opt", "type=none", "--opt", "o=bind", "--opt", &device]);
}

fn remove_bound(stack: &Stack) {
    stack.docker(&["rm", "--force", &stack.container("its")]).exits(0);
    stack.docker(&["volume", "rm", &stack.volume("bound")]).exits(0);
}

fn restore(stack: &Stack, name: &str, further: &[&str]) -> Run {
    let command = ["restore", name, "--components", "docker_volume_bound"];
    stack.larder(&[&command[..], further].concat())
}

/// A snapshot had the engine mount, and the restore write, any directory of the host. Where only the volume was gone, as after
/// `docker compose down -v`, newer files of its directory were overwritten and not saved before.
#[test]
fn no_volume_is_made_with_options_of_a_snapshot() {
    let stack = Stack::bare();
    let bound = start_bound(&stack);
    stack.create_volume("other", &[]);
    stack.start("other", (&stack.volume("other"), "/x"), &[], &WAITING);
    let name = text(&stack.create()["name"]);
    let started =
        || stack.docker(&["inspect", "-f", "{{.State.StartedAt}}", &stack.container("other")]).exits(0).text();
    let before = started();
    remove_bound(&stack);
    fs::write(bound.join("file"), "newer").expect("the folder is ours");
    for further in [&["--force"][..], &["--dry-run"], &["--force", "--no-snapshot"]] {
        let refused = restore(&stack, &name, further);
        assert!(refused.code != 0 && refused.stderr.contains("is not there"), "{refused:?}");
        assert!(refused.stderr.contains("--opt 'o=bind' --opt 'type=none' --label "), "{refused:?}");
        stack.docker(&["volume", "inspect", &stack.volume("bound")]).exits(1);
    }
    // Nothing is stopped for it either.
    let refused = stack.larder(&["restore", &name, "--force"]);
    assert!(refused.code != 0 && refused.stderr.contains("is not there"), "{refused:?}");
    assert_eq!(started(), before);
    assert_eq!(fs::read(bound.join("file")).expect("it is as it was"), b"newer");

    let line = refused.stderr.lines().find_map(|line| line.split_once("docker volume create ")).expect("a line").1;
    let command = format!("docker --host {} volume create {line}", stack.host);
    run(Command::new("sh").args(["-c", &command])).exits(0);
    restore(&stack, &name, &["--force"]).exits(0);
    assert_eq!(fs::read(bound.join("file")).expect("it is back"), b"saved");
    let listed = stack.larder(&["list", "--json"]).exits(0).stdout;
    assert!(listed.contains("safety"), "what was there is saved first: {listed}");
}

/// A volume for a test was made on the directory of the original, which was overwritten while its container ran.
#[test]
fn a_volume_of_another_name_is_not_made_on_the_directory_of_the_original() {
    let stack = Stack::bare();
    let bound = start_bound(&stack);
    let created = stack.create();
    assert_eq!(component(&created, "docker_volume_bound")["status"], "complete", "{created}");
    fs::write(bound.join("file"), "newer").expect("the folder is ours");
    let (name, test) = (text(&created["name"]), stack.volume("test"));
    let mapping = format!("bound={test}");
    for further in [["--volume", &mapping, "--force"], ["--volume", &mapping, "--dry-run"]] {
        let refused = restore(&stack, &name, &further);
        assert!(refused.code != 0 && refused.stderr.contains("the place of the original"), "{refused:?}");
        let command = refused.stderr.split_once("docker volume create ").expect("a command").1;
        assert!(!command.contains("--opt"), "{refused:?}");
        stack.docker(&["volume", "inspect", &test]).exits(1);
    }
    assert_eq!(fs::read(bound.join("file")).expect("it is as it was"), b"newer");
    stack.assert_runs(&["its"]);
    stack.docker(&["volume", "create", &test]).exits(0);
    restore(&stack, &name, &["--volume", &mapping, "--force"]).exits(0);
    assert_eq!(fs::read(bound.join("file")).expect("it is as it was"), b"newer");
    assert_eq!(fs::read(stack.mountpoint(&test).join("file")).expect("it is restored"), b"saved");
}

/// The engine mounted what a link at the place of a volume led to, which a container had put there: a secret was saved, and
/// a restore wrote over what the link led to.
#[test]
fn a_link_at_the_place_of_a_volume_is_not_followed() {
    let stack = Stack::bare();
    fs::create_dir_all(stack.path("data/cache")).expect("ours");
    fs::write(stack.path("data/cache/file"), "saved").expect("ours");
    fs::create_dir(stack.path("secret")).expect("ours");
    fs::write(stack.path("secret/key"), "a secret").expect("ours");
    let device = format!("device={}", stack.path("data/cache").display());
    stack.create_volume("cache", &["--opt", "type=none", "--opt", "o=bind", "--opt", &device]);
    stack.create_volume("x", &[]);
    let bind = format!("{}:/data", stack.path("data").display());
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &WAITING);
    // It is read where it lies, although nobody has it mounted.
    let first = stack.create();
    assert_eq!(component(&first, "docker_volume_cache")["volume"]["method"], "mountpoint", "{first}");
    fs::rename(stack.path("data/cache"), stack.path("data/moved")).expect("ours");
    symlink(stack.path("secret"), stack.path("data/cache")).expect("ours");
    for method in ["auto", "engine"] {
        stack.configure(&format!("[volumes.cache]\nmethod = \"{method}\"\n"));
        let saved = stack.larder(&["create", "--json"]).exits(3).json();
        let cache = component(&saved, "docker_volume_cache");
        assert_eq!(cache["status"], "failed", "{saved}");
        assert!(cache["errors"].to_string().contains("lies where a container may write"), "{saved}");
        for further in [&["--force"][..], &["--force", "--no-snapshot"], &["--dry-run"]] {
            let command = ["restore", &text(&first["name"]), "--components", "docker_volume_cache"];
            let refused = stack.larder(&[&command[..], further].concat());
            assert!(refused.code != 0, "{refused:?}");
        }
        assert_eq!(fs::read_dir(stack.path("secret")).expect("list").count(), 1, "nothing was written or removed");
        assert_eq!(fs::read(stack.path("secret/key")).expect("it is as it was"), b"a secret");
    }
    stack.assert_runs(&["app"]);
}

/// A link in the place of `_data`, made by a container that has all volumes mounted, was followed.
#[test]
fn a_link_in_the_place_of_the_directory_of_a_volume_is_not_followed() {
    let stack = Stack::bare();
    stack.configure(&format!("[docker]\nproject = \"{}\"\n", stack.project));
    let place = stack.create_volume("x", &[]);
    stack.write("x", "file", b"saved");
    fs::create_dir(stack.path("secret")).expect("ours");
    fs::write(stack.path("secret/key"), "a secret").expect("ours");
    let first = text(&stack.create()["name"]);
    let moved = place.with_file_name("moved");
    fs::rename(&place, &moved).expect("ours");
    symlink(stack.path("secret"), &place).expect("ours");
    let saved = stack.larder(&["create", "--json"]).exits(3).json();
    let refused = restore_of(&stack, &first, "docker_volume_x");
    let left = fs::read_dir(stack.path("secret")).expect("list").count();
    fs::remove_file(&place).expect("ours");
    fs::rename(&moved, &place).expect("ours");
    assert_eq!(component(&saved, "docker_volume_x")["status"], "failed", "{saved}");
    assert!(refused.code != 0 && left == 1, "{refused:?}");
    restore_of(&stack, &first, "docker_volume_x").exits(0);
}

fn restore_of(stack: &Stack, name: &str, component: &str) -> Run {
    stack.larder(&["restore", name, "--components", component, "--force", "--no-snapshot"])
}

/// Whoever wrote to a volume by its folder, or by another volume on that, was not held and not stopped.
#[test]
fn who_writes_to_a_volume_by_another_mount_is_held_for_it() {
    let stack = Stack::bare();
    let bound = start_bound(&stack);
    let device = format!("device={}", bound.display());
    stack.create_volume("second", &["--opt", "type=none", "--opt", "o=bind", "--opt", &device]);
    stack.create_volume("x", &[]);
    let place = stack.create_volume("plain", &[]);
    stack.start("by_volume", (&stack.volume("second"), "/x"), &[], &WAITING);
    let binds = [format!("{}:/bound", bound.display()), format!("{}:/plain", place.display())];
    let options = ["--volume", &binds[0], "--volume", &binds[1]];
    stack.start("by_bind", (&stack.volume("x"), "/x"), &options, &WAITING);
    let created = stack.create();
    let held = |name: &str| component(&created, name)["volume"]["held"].to_string();
    for service in ["its", "by_volume", "by_bind"] {
        assert!(held("docker_volume_bound").contains(&stack.container(service)), "{created}");
    }
    assert!(held("docker_volume_plain").contains(&stack.container("by_bind")), "{created}");
    let started =
        || stack.docker(&["inspect", "-f", "{{.State.StartedAt}}", &stack.container("by_bind")]).exits(0).text();
    let before = started();
    restore_of(&stack, &text(&created["name"]), "docker_volume_plain").exits(0);
    assert_ne!(started(), before, "it was stopped meanwhile");
    stack.assert_runs(&["its", "by_volume", "by_bind"]);
}

/// What a volume names in another option than a bind's, as the upper layer of an overlay, was not known to be a container's.
#[test]
fn a_link_in_a_layer_of_an_overlay_is_not_followed() {
    let stack = Stack::bare();
    for directory in ["data/uploads", "low", "work", "secret"] {
        fs::create_dir_all(stack.path(directory)).expect("ours");
    }
    fs::write(stack.path("data/uploads/file"), "hi").expect("ours");
    fs::write(stack.path("secret/key"), "a secret").expect("ours");
    let project = format!("[docker]\nproject = \"{}\"\n", stack.project);
    stack.configure(&format!("{project}[directories]\nuploads = \"data/uploads\"\n[volumes.layers]\nskip = true\n"));
    let path = |name: &str| stack.path(name).display().to_string();
    let layers = format!("o=lowerdir={},upperdir={},workdir={}", path("low"), path("data"), path("work"));
    stack.create_volume("layers", &["--opt", "type=overlay", "--opt", "device=overlay", "--opt", &layers]);
    stack.create();
    fs::rename(stack.path("data/uploads"), stack.path("data/moved")).expect("ours");
    symlink(stack.path("secret"), stack.path("data/uploads")).expect("ours");
    let refused = stack.larder(&["create", "--components", "uploads"]);
    assert!(refused.code != 0 && refused.all().contains("lies where a container may write"), "{}", refused.all());
    // And the engine mounts whatever a link in the place of a layer leads to.
    stack.configure(&project);
    fs::rename(stack.path("low"), stack.path("data/low")).expect("ours");
    symlink(stack.path("secret"), stack.path("data/link")).expect("ours");
    let layers = format!("o=lowerdir={},upperdir={},workdir={}", path("data/link"), path("data"), path("work"));
    stack.create_volume("linked", &["--opt", "type=overlay", "--opt", "device=overlay", "--opt", &layers]);
    let saved = stack.larder(&["create", "--json"]).exits(3).json();
    let linked = component(&saved, "docker_volume_linked");
    assert!(linked["errors"].to_string().contains("lies where a container may write"), "{saved}");
    let layers = component(&saved, "docker_volume_layers");
    assert!(!layers["errors"].to_string().contains("lies where a container may write"), "{saved}");
}

/// A path that only the engine knows the meaning of was taken from the directory that Larder was called in.
#[test]
fn a_volume_at_a_relative_path_is_not_guessed() {
    let stack = Stack::bare();
    stack.configure(&format!("[docker]\nproject = \"{}\"\n", stack.project));
    fs::create_dir(stack.path("data")).expect("ours");
    fs::write(stack.path("data/file"), "x").expect("ours");
    stack.create_volume("relative", &["--opt", "type=none", "--opt", "o=bind", "--opt", "device=data"]);
    let mut command = stack.command(&["create", "--json"]);
    let saved = run(command.current_dir(stack.path(""))).exits(3).json();
    let errors = component(&saved, "docker_volume_relative")["errors"].to_string();
    assert!(errors.contains("its device data is relative"), "{saved}");
}

/// A folder that had taken the place of the one that containers have was saved as the volume, and written.
#[test]
fn a_folder_that_no_container_has_is_not_the_volume_that_it_has() {
    let stack = Stack::bare();
    let bound = start_bound(&stack);
    let first = text(&stack.create()["name"]);
    fs::rename(&bound, stack.path("../moved")).expect("ours");
    fs::create_dir(&bound).expect("ours");
    fs::write(bound.join("file"), "of another").expect("ours");
    let saved = stack.larder(&["create", "--json"]).exits(3).json();
    let errors = component(&saved, "docker_volume_bound")["errors"].to_string();
    assert!(errors.contains(&stack.container("its")) && errors.contains("has another directory"), "{saved}");
    for further in [&["--force"][..], &["--force", "--no-snapshot"], &["--dry-run"]] {
        let refused = restore(&stack, &first, further);
        assert!(refused.code != 0 && refused.all().contains("has another directory"), "{refused:?}");
        assert_eq!(fs::read(bound.join("file")).expect("it stays"), b"of another");
    }
    stack.assert_runs(&["its"]);
    stack.docker(&["restart", "--time", "1", &stack.container("its")]).exits(0);
    stack.create();
}
