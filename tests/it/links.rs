//! Links of another user of the host where root writes: in directories that are not its own, nothing goes through them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use super::support::{System, is_root};

/// Somebody who owns nothing else.
const MALLORY: u32 = 65_534;

/// Makes a directory of somebody else with links to a file that must stay as it is.
fn plant(system: &System, folder: &str, names: &[&str]) {
    system.write("victim", "mine");
    fs::create_dir_all(system.path(folder)).expect("our own folder");
    let is_root = rustix::process::geteuid().is_root();
    for name in names {
        let path = system.path(folder).join(name);
        symlink(system.path("victim"), &path).expect("nothing is there");
        if is_root {
            lchown(&path, Some(MALLORY), Some(MALLORY)).expect("root may");
        }
    }
    if is_root {
        lchown(system.path(folder), Some(MALLORY), Some(MALLORY)).expect("root may");
    }
}

/// The victim is as it was, and at this path there is a file with this mode.
fn assert_replaced(system: &System, path: &Path, mode: u32) {
    assert_eq!(system.read("victim"), b"mine", "{} was followed", path.display());
    let metadata = path.symlink_metadata().expect("it is there");
    assert!(metadata.is_file(), "{} is a link still", path.display());
    assert_eq!(metadata.permissions().mode() & 0o777, mode, "{}", path.display());
    if rustix::process::geteuid().is_root() {
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), 0, "{}", path.display());
    }
}

/// The temporary name could be guessed, and was opened through a link: any file of root became a script with mode 0755.
#[test]
fn scripts_go_through_no_link() {
    let system = System::new();
    plant(&system, "scripts", &["backup_restore.sh", ".backup_restore.sh.larder", ".verify_backup.py.larder"]);
    let scripts = system.path("scripts");
    system.ok(&["shim", "--into", &scripts.to_string_lossy(), "--force"]);
    assert_replaced(&system, &scripts.join("backup_restore.sh"), 0o755);
    assert_replaced(&system, &scripts.join("verify_backup.py"), 0o755);
}

/// A directory that was a link had root write a script where the owner of the link wanted it.
#[test]
fn scripts_go_into_no_directory_that_somebody_else_chose() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let system = System::new();
    let scripts = system.path("scripts");
    fs::create_dir(system.path("elsewhere")).expect("our own folder");
    symlink(system.path("elsewhere"), &scripts).expect("nothing is there");
    let shim = ["shim", "--into", &scripts.to_string_lossy(), "--force"];
    lchown(&scripts, Some(MALLORY), Some(MALLORY)).expect("root may");
    system.run(&shim).ended(1).says("who is not trusted");
    assert_eq!(fs::read_dir(system.path("elsewhere")).expect("our own folder").count(), 0);
    lchown(&scripts, Some(0), Some(0)).expect("root may");
    system.ok(&shim);
    assert!(system.exists("elsewhere/backup_restore.sh"));
}

/// Manual pages and completions were written through links.
#[test]
fn pages_and_completions_go_through_no_link() {
    let system = System::new();
    plant(&system, "prefix/share/man/man1", &["larder.1", "larder-create.1"]);
    plant(&system, "prefix/share/bash-completion/completions", &["larder"]);
    let prefix = system.path("prefix");
    system.ok(&["setup", "--prefix", &prefix.to_string_lossy()]);
    for file in ["man/man1/larder.1", "man/man1/larder-create.1", "bash-completion/completions/larder"] {
        assert_replaced(&system, &prefix.join("share").join(file), 0o644);
    }
    plant(&system, "pages", &["larder.1"]);
    system.ok(&["man", "--to", &system.path("pages").to_string_lossy()]);
    assert_replaced(&system, &system.path("pages/larder.1"), 0o644);
}

/// A chart, and a configuration with `--force`, went into whatever a link named; without it, a link that led nowhere was a file to be made.
#[test]
fn charts_and_configurations_go_through_no_link() {
    let system = System::with_model("one");
    system.create();
    plant(&system, "charts", &["chart.svg", "larder.toml"]);
    let chart = system.path("charts/chart.svg");
    // The name of a device may be such a link.
    system.run(&["savings", "--svg", &chart.to_string_lossy()]).ended(2).says("it is no regular file");
    assert!(chart.is_symlink());
    system.write("backup.yaml", "backup: {directory: saved}\n");
    let (yaml, target) = (system.path("backup.yaml"), system.path("charts/larder.toml"));
    let (yaml, shown) = (yaml.to_string_lossy(), target.to_string_lossy());
    system.run(&["--config", &shown, "import-config", &yaml]).ended(2).says("--force");
    assert!(target.is_symlink());
    system.ok(&["--config", &shown, "import-config", &yaml, "--force"]);
    assert_replaced(&system, &target, 0o644);
}

/// A pipe was waited for, a device was read until there was no memory left, and a link of somebody else led to any file of
/// root.
#[test]
fn a_configuration_to_take_over_is_a_file_of_bounded_length() {
    let system = System::new();
    let import = |name: &str| system.run(&["import-config", &system.path(name).to_string_lossy(), "--dry-run"]);
    let made = Command::new("mkfifo").arg(system.path("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()));
    import("pipe").ended(2).says("not a regular file");
    symlink("/dev/zero", system.path("zeros")).expect("nothing is there");
    import("zeros").ended(2).says("not a regular file");
    system.write("long.yaml", "#".repeat((1 << 20) + 1));
    import("long.yaml").ended(2).says("longer than 1048576 bytes");
    system.write("yaml", "backup: {directory: saved}\n");
    symlink("yaml", system.path("link")).expect("nothing is there");
    import("link").ended(0).shows("saved");
    if is_root() {
        lchown(system.path("link"), Some(MALLORY), Some(MALLORY)).expect("root may");
        import("link").ended(2).says("who is not trusted").says("chown -h 0");
    }
}

/// Removing went through the link that installing had refused, and took files of root elsewhere away.
#[test]
fn pages_are_removed_through_no_link_of_somebody_else() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("victim/man1/larder.1", "mine");
    fs::create_dir_all(system.path("prefix/share")).expect("create");
    let link = system.path("prefix/share/man");
    symlink(system.path("victim"), &link).expect("nothing is there");
    let prefix = system.path("prefix").to_string_lossy().into_owned();
    lchown(&link, Some(MALLORY), Some(MALLORY)).expect("root may");
    system.run(&["setup", "--prefix", &prefix, "--remove"]).ended(1).says("cannot remove").says("who is not trusted");
    assert_eq!(system.read("victim/man1/larder.1"), b"mine");
    lchown(&link, Some(0), Some(0)).expect("root may");
    system.ok(&["setup", "--prefix", &prefix, "--remove"]);
    assert!(!system.exists("victim/man1/larder.1"));
}

/// Lines of cron and units of systemd were written through links.
#[test]
fn schedules_go_through_no_link() {
    let system = System::with_model("one");
    let root = system.path("root");
    let install = |with: &str| {
        let command = ["schedule", "install", "--with", with, "--root", &root.to_string_lossy(), "--json"];
        let report = system.ok(&command).json();
        report["files"][0].as_str().expect("a file").to_owned()
    };
    for with in ["cron", "systemd"] {
        let path = std::path::PathBuf::from(install(with));
        fs::remove_file(&path).expect("it is there");
        let folder = path.parent().expect("a folder").strip_prefix(system.path("")).expect("below the system");
        plant(&system, &folder.to_string_lossy(), &[&path.file_name().expect("a name").to_string_lossy()]);
        assert_eq!(Path::new(&install(with)), path);
        assert_replaced(&system, &path, 0o644);
    }
}
