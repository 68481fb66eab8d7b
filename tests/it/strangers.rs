//! Other users of the host, who own directories within components, links on the way to them, or files that Larder reads.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mkfifoat, mknodat, renameat_with};

use super::support::{PARTIAL, Run, System, copy_binary, is_root, within_limit};

/// A user who has no name.
pub(crate) const STRANGER: u32 = 61_999;
/// Runs in which somebody changes what is being read.
const RACES: usize = 15;

pub(crate) fn own(system: &System, path: &str) {
    lchown(system.path(path), Some(STRANGER), Some(STRANGER)).expect("root");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

/// The binary where everybody finds it, run by the stranger.
pub(crate) fn as_stranger(system: &System, arguments: &[&str]) -> Run {
    let binary = system.path("larder");
    if !binary.exists() {
        copy_binary(&binary);
    }
    let mut command = Command::new(binary);
    command.arg("-C").arg(system.path("")).args(arguments).env_clear().stdin(Stdio::null());
    Run::of(command.uid(STRANGER).gid(STRANGER))
}

/// Changes the places of two entries again and again while `work` is done.
fn while_exchanging<T>(first: &Path, second: &Path, work: impl FnOnce() -> T) -> T {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE).expect("both are there");
            }
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        done
    })
}

/// A directory and a link changed places, and what only root may read was in the snapshot.
#[test]
fn a_backup_reads_no_directory_that_a_link_leads_to() {
    const FILES: usize = 200;
    let system = System::new();
    for number in 0..FILES {
        system.write(format!("secret/only/{number}"), "a secret of root");
        system.write(format!("models/d/only/{number}"), "a file");
    }
    symlink(system.path("secret"), system.path("models/link")).expect("link");
    for _ in 0..RACES {
        let (directory, link) = (system.path("models/d"), system.path("models/link"));
        while_exchanging(&directory, &link, || system.run(&["create", "--no-verify"]));
        let list = system.json(&["ls", "--recursive", "latest"]);
        let secret = list.as_array().expect("a list").iter().find(|entry| entry["size"] == 16);
        assert_eq!(secret, None, "it was read through the link");
    }
}

/// The calls of a command that open something in a folder by its name, or look at it.
fn opened(system: &System, folder: &str, arguments: &[&str]) -> Vec<String> {
    let traces = tempfile::tempdir().expect("temporary folder");
    let larder = system.command(arguments);
    let mut strace = Command::new("strace");
    strace.args(["-ff", "-y", "-qq", "-s", "600", "-o"]).arg(traces.path().join("trace"));
    strace
        .args(["-e", "trace=/^(open(at2?)?|l?stat|newfstatat|statx|readlink(at)?|l?(get|list|set)xattr|chmod|chown)$"]);
    let run = Run::of(strace.arg(larder.get_program()).args(larder.get_args()).stdin(Stdio::null()));
    assert_eq!(run.code, 0, "needs strace, as tests/run installs it: {run:?}");
    let inside = system.path(folder).to_string_lossy().into_owned();
    let traces = fs::read_dir(traces.path()).expect("list").flatten();
    let texts = traces.map(|trace| String::from_utf8_lossy(&fs::read(trace.path()).expect("a trace")).into_owned());
    let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.into_iter().filter(|line| line.contains(&inside)).collect()
}

/// Races seldom show: this looks at every call instead.
#[test]
fn everything_in_a_component_is_opened_by_descriptors_and_through_no_link() {
    let system = System::new();
    system.write("models/one/two/file", "x");
    symlink("one", system.path("models/link")).expect("link");
    mkfifoat(CWD, system.path("models/pipe"), Mode::RWXU).expect("a pipe");
    let inside = format!("{}/", system.path("models").display());
    let arguments: [&[&str]; 3] = [
        &["create", "--no-verify"],
        &["restore", "latest", "--force", "--no-snapshot"],
        &["restore", "latest", "--force", "--no-snapshot"],
    ];
    for (number, arguments) in arguments.into_iter().enumerate() {
        if number == 2 {
            fs::remove_dir_all(system.path("models/one")).expect("remove");
            fs::remove_file(system.path("models/pipe")).expect("remove");
        }
        let calls = opened(&system, "models", arguments);
        assert!(calls.iter().any(|call| call.starts_with("openat2")), "{arguments:?}: {calls:?}");
        for call in calls {
            let named = call.split('"').nth(1).unwrap_or_default();
            assert!(!named.starts_with(&inside), "{arguments:?}: a path that somebody may change: {call}");
            let is_open = call.starts_with("open");
            let is_safe = ["RESOLVE_NO_SYMLINKS", "O_NOFOLLOW", "O_EXCL"].iter().any(|flag| call.contains(flag));
            // What a descriptor leads to was looked at when that was opened.
            let is_found = matches!(named, "." | "..")
                || call.starts_with("openat(") && named.bytes().all(|byte| byte.is_ascii_digit());
            assert!(!is_open || is_safe || is_found, "{arguments:?}: {call}");
        }
    }
}

/// The name of a pipe with set-user-id in the snapshot became a link to a program of root while it was restored.
#[test]
fn the_mode_of_a_pipe_is_given_to_no_other_file() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("victim", "a program");
    set_mode(&system.path("victim"), 0o755);
    system.write("models/d/file", "x");
    mkfifoat(CWD, system.path("models/d/pipe"), Mode::RWXU).expect("a pipe");
    own(&system, "models/d");
    set_mode(&system.path("models/d/pipe"), 0o4777);
    system.create();
    symlink(system.path("victim"), system.path("models/d/link")).expect("link");
    for _ in 0..RACES {
        let (pipe, link) = (system.path("models/d/pipe"), system.path("models/d/link"));
        while_exchanging(&pipe, &link, || {
            within_limit(&system, &["restore", "latest", "--force", "--no-snapshot", "--keep-extra"])
        });
        assert_eq!(system.path("victim").metadata().expect("it is there").mode() & 0o7777, 0o755);
        // It may have been replaced by the restored one.
        if !pipe.symlink_metadata().is_ok_and(|pipe| pipe.file_type().is_symlink() != link.is_symlink()) {
            let _ = fs::remove_file(&link);
            symlink(system.path("victim"), &link).expect("link");
        }
    }
}

/// A backup waited for ever for somebody to write into a pipe, and kept its lock meanwhile.
#[test]
fn pipes_in_the_place_of_files_keep_nobody_waiting() {
    let system = System::with_model("one");
    for pipe in ["models/CACHEDIR.TAG", "models/d/CACHEDIR.TAG"] {
        fs::create_dir_all(system.path("models/d")).expect("create");
        mkfifoat(CWD, system.path(pipe), Mode::RWXU).expect("a pipe");
    }
    for arguments in [&["create"][..], &["restore", "latest", "--force", "--no-snapshot"], &["plan"]] {
        within_limit(&system, arguments).ended(0);
    }
    for (pipe, arguments) in
        [("larder.toml", &["plan"][..]), ("mask.toml", &["export", "latest", "--to", "x", "--mask", "mask.toml"])]
    {
        mkfifoat(CWD, system.path(pipe), Mode::RWXU).expect("a pipe");
        let mut arguments = arguments.to_vec();
        let mask = system.path("mask.toml").to_string_lossy().into_owned();
        arguments.iter_mut().filter(|word| **word == "mask.toml").for_each(|word| *word = &mask);
        let run = within_limit(&system, &arguments);
        assert!(matches!(run.code, 1 | 2), "{run:?}");
        run.says("not a regular file");
        fs::remove_file(system.path(pipe)).expect("remove");
    }
}

/// Whoever owned the directory around a component made a link of it, and the next restore wrote and removed files there.
#[test]
fn a_link_of_somebody_else_is_no_component() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.write("logs/app.log", "a log");
    system.create();
    system.write("etc/important", "kept");
    fs::rename(system.path("logs"), system.path("old")).expect("rename");
    symlink(system.path("etc"), system.path("logs")).expect("link");
    own(&system, "logs");
    let mend = "`chown -h 0 ";
    system.run(&["plan"]).ended(PARTIAL).says("is a link of user 61999").says(mend);
    system.run(&["restore", "latest", "--force", "--no-snapshot"]).ended(PARTIAL).says("link of user 61999").says(mend);
    assert_eq!(fs::read_dir(system.path("etc")).expect("list").count(), 1);
    assert_eq!(system.read("etc/important"), b"kept");
    system.run(&["create"]).ended(PARTIAL).says("link of user 61999");
    assert!(!system.ok(&["ls", "--recursive", "latest"]).stdout.contains("important"));
    system.ok(&["create", "--trust-files"]);
    lchown(system.path("logs"), Some(0), None).expect("root");
    system.ok(&["create"]);
    assert!(system.ok(&["ls", "--recursive", "latest"]).stdout.contains("important"));
}

/// What a directory's file says decides what root reads, writes and removes, so it is not everybody's.
#[test]
fn a_configuration_of_somebody_else_is_refused_with_what_mends_it() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.write("victim/kept", "kept");
    let hostile = format!("[directories]\nmodels = \"{}\"\n", system.path("victim").display());
    system.write("larder.toml", hostile);
    own(&system, "larder.toml");
    for arguments in [&["create"][..], &["plan"], &["list"], &["restore", "latest", "--force"]] {
        system.run(arguments).ended(2).says("larder.toml belongs to user 61999").says("`chown 0 ");
    }
    assert!(!system.exists("backups"));
    let through_sudo = |user: &str| Run::of(system.command(&["plan"]).env("SUDO_UID", user));
    through_sudo("61999").ended(0).says("a schedule's run refuses it").says("trusted_uids = [61999]");
    through_sudo("61998").ended(2);
    system.ok(&["plan", "--trust-files"]);
    lchown(system.path("larder.toml"), Some(0), Some(STRANGER)).expect("root");
    set_mode(&system.path("larder.toml"), 0o664);
    system.run(&["create"]).ended(2).says("others than its owner may write").says("`chmod go-w ");
    set_mode(&system.path("larder.toml"), 0o644);
    system.ok(&["create"]);
}

/// A schedule has no sudo behind it: what its runs would refuse was noticed when there was no backup.
#[test]
fn a_schedule_asks_whom_its_runs_are_to_believe() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.write("larder.toml", "");
    own(&system, "larder.toml");
    let root = system.path("root").to_string_lossy().into_owned();
    let install = |more: &[&str]| {
        let arguments = [&["schedule", "--root", &root, "install", "--with", "cron"], more].concat();
        Run::of(system.command(&arguments).env("SUDO_UID", "61999"))
    };
    install(&[]).ended(2).says("the runs of a schedule would refuse this").says("--trust-user 61999").says("`chown 0 ");
    assert!(!system.exists("root"), "nothing was written");
    install(&["--trust-user", "61998"]).ended(2);
    install(&["--trust-user", "61999"]).ended(0).shows("etc/larder.toml");
    assert!(String::from_utf8_lossy(&system.read("root/etc/larder.toml")).contains("trusted_uids = [61999]"));
    // What it wrote is believed by a run, and only where root alone can write it.
    let as_scheduled = || {
        let larder = system.command(&["create"]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc && exec \"$@\""]).arg(system.path("root/etc"));
        Run::of(command.arg(larder.get_program()).args(larder.get_args()))
    };
    as_scheduled().ended(0);
    set_mode(&system.path("root/etc/larder.toml"), 0o666);
    as_scheduled().ended(2).says("/etc/larder.toml");
    set_mode(&system.path("root/etc/larder.toml"), 0o644);
    own(&system, "root/etc/larder.toml");
    as_scheduled().ended(2).says("/etc/larder.toml belongs to user 61999");
}

/// The owner was named, and when he was another one the mode.
#[test]
fn what_is_wrong_with_a_file_is_mended_with_one_command() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.write("larder.toml", "");
    own(&system, "larder.toml");
    set_mode(&system.path("larder.toml"), 0o664);
    let run = system.run(&["plan"]);
    run.ended(2).says("belongs to user 61999").says("(mode 664)");
    let mend = run.stderr.split('`').nth(1).expect("a command");
    assert!(Command::new("sh").args(["-c", mend]).status().is_ok_and(|status| status.success()), "{mend}");
    system.run(&["plan"]).ended(0);
}

/// Root who had logged in as root was refused the file that he named the owner of; and with `--trust-files` nothing was kept of
/// whom he named, so that the runs were refused what the command had taken.
#[test]
fn whom_root_names_for_a_schedule_is_believed_at_once_and_by_its_runs() {
    if !is_root() {
        return;
    }
    for more in [&["--trust-user", "61999"][..], &["--trust-files", "--trust-user", "61999"]] {
        let system = System::with_model("one");
        system.write("larder.toml", "");
        own(&system, "larder.toml");
        let root = system.path("root").to_string_lossy().into_owned();
        let install = [&["schedule", "--root", &root, "install", "--with", "cron"], more].concat();
        system.run(&install).ended(0).shows("etc/larder.toml");
        assert!(String::from_utf8_lossy(&system.read("root/etc/larder.toml")).contains("trusted_uids = [61999]"));
    }
    let system = System::with_model("one");
    system.write("larder.toml", "");
    own(&system, "larder.toml");
    let root = system.path("root").to_string_lossy().into_owned();
    let install = ["schedule", "--root", &root, "install", "--with", "cron", "--trust-files"];
    system.run(&install[..6]).ended(2).says("--trust-user 61999");
    // Its jobs do not insist on it.
    system.run(&install).ended(0).says("warning: the runs of a schedule would refuse this");
}

/// In the folder of somebody else, or in one that others may write to, everything may be another repository tomorrow.
#[test]
fn a_repository_that_others_may_write_to_is_refused_with_what_mends_it() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.create();
    own(&system, "backups");
    for arguments in [&["create"][..], &["list"], &["restore", "latest", "--force"], &["plan"], &["repair"]] {
        system.run(arguments).ended(2).says("backups belongs to user 61999").says("`chown ");
    }
    system.ok(&["list", "--trust-files"]);
    lchown(system.path("backups"), Some(0), None).expect("root");
    set_mode(&system.path("backups"), 0o777);
    system.run(&["create"]).ended(2).says("others than its owner may write to").says("`chmod go-w ");
    // The usual one: a directory of whoever deploys, and a repository in it that root has made.
    set_mode(&system.path("backups"), 0o700);
    own(&system, "");
    own(&system, "models/one");
    assert!(system.ok(&["create"]).stderr.contains("belongs to user 61999, who can take it away"));
    lchown(system.path(""), Some(0), None).expect("root");
    set_mode(&system.path(""), 0o777);
    assert!(system.ok(&["create"]).stderr.contains("which the repository lies in: they can take it away"));
    set_mode(&system.path(""), 0o1777);
    assert!(!system.ok(&["create"]).stderr.contains("take it away"));
}

/// Whoever owned a file that is restored by another user had a program that ran as that user.
#[test]
fn a_file_whose_owner_cannot_be_set_is_nobodys_to_run_as() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    chown(system.path("models/one"), Some(61_998), Some(61_998)).expect("root");
    set_mode(&system.path("models/one"), 0o6755);
    own(&system, "");
    let owned = Command::new("chown").args(["-R", "61999:61999"]).arg(system.path("models")).status();
    assert!(owned.is_ok_and(|status| status.success()));
    chown(system.path("models/one"), Some(61_998), Some(61_998)).expect("root");
    set_mode(&system.path("models/one"), 0o6755);
    as_stranger(&system, &["create"]).ended(0);
    let out = system.path("out").to_string_lossy().into_owned();
    as_stranger(&system, &["restore", "latest", "--target", &out]).ended(PARTIAL).says("set-user-id");
    let restored = system.path("out/models/one").metadata().expect("it is there");
    assert_eq!((restored.uid(), restored.mode() & 0o7777), (STRANGER, 0o755));
    // As it was when root restores it, in a folder that nobody else gets into: it is a program that runs as somebody.
    chown(system.path("models/one"), Some(999), Some(999)).expect("root");
    set_mode(&system.path("models/one"), 0o6755);
    fs::remove_dir_all(system.path("backups")).expect("remove");
    system.create();
    chown(system.path(""), Some(0), Some(0)).expect("root");
    let out = system.path("of-root").to_string_lossy().into_owned();
    system.ok(&["restore", "latest", "--target", &out]);
    let restored = system.path("of-root/models/one").metadata().expect("it is there");
    assert_eq!((restored.uid(), restored.gid(), restored.mode() & 0o7777), (999, 999, 0o6755));
    assert_eq!(system.path("of-root").metadata().expect("it is there").mode() & 0o7777, 0o700);
}

/// A file with a second name elsewhere has the owner and mode of the snapshot only when it had them already.
#[test]
fn a_restore_changes_no_file_that_has_another_name_outside() {
    if !is_root() {
        return;
    }
    let system = System::with_model("the same bytes");
    fs::hard_link(system.path("models/one"), system.path("models/two")).expect("link");
    mknodat(CWD, system.path("models/null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), 0x103)
        .expect("a device");
    for path in ["models/one", "models/null"] {
        own(&system, path);
    }
    set_mode(&system.path("models/one"), 0o4755);
    system.create();
    for path in ["models/one", "models/two", "models/null"] {
        fs::remove_file(system.path(path)).expect("remove");
    }
    system.write("program", "the same bytes");
    mknodat(CWD, system.path("device"), FileType::CharacterDevice, Mode::RUSR, 0x103).expect("a device");
    for (from, to) in [("program", "models/one"), ("program", "models/two"), ("device", "models/null")] {
        fs::hard_link(system.path(from), system.path(to)).expect("link");
    }
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    for path in ["program", "device"] {
        let kept = system.path(path).metadata().expect("it is there");
        assert_eq!((kept.uid(), kept.mode() & 0o4077, kept.nlink()), (0, kept.mode() & 0o077, 1), "{path}");
    }
    let restored = system.path("models/two").metadata().expect("it is there");
    assert_eq!((restored.uid(), restored.mode() & 0o7777, restored.nlink()), (STRANGER, 0o4755, 2));
}

/// Between the mode and the access control list, whoever the list keeps out read what was restored.
#[test]
fn a_restored_file_has_its_access_control_list_before_its_mode() {
    let system = System::with_model("one");
    let listed = Command::new("setfacl").args(["-m", "u:61999:---"]).arg(system.path("models/one")).status();
    assert!(listed.expect("needs setfacl, as tests/run installs it").success());
    set_mode(&system.path("models/one"), 0o644);
    system.create();
    fs::remove_file(system.path("models/one")).expect("remove");
    let larder = system.command(&["restore", "latest", "--force", "--no-snapshot"]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-e", "trace=fchmod,fsetxattr", "-e", "signal=none"]);
    let run = Run::of(strace.arg(larder.get_program()).args(larder.get_args()).stdin(Stdio::null()));
    assert_eq!(run.code, 0, "{run:?}");
    let of_file = |line: &&str| line.contains(".larder-restore-");
    let calls: Vec<&str> = run.stderr.lines().filter(of_file).collect();
    let position = |call: &str| calls.iter().position(|line| line.contains(call)).expect("it was called");
    assert!(position("posix_acl_access") < position("fchmod"), "{calls:?}");
}

/// A pipe and a device kept what the folder handed down: whoever had given it that list got into them for good.
#[test]
fn nothing_that_is_restored_has_rights_by_the_folder_around_it() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    mkfifoat(CWD, system.path("models/pipe"), Mode::RWXU).expect("a pipe");
    set_mode(&system.path("models/pipe"), 0o660);
    system.create();
    let out = system.path("out");
    fs::create_dir(&out).expect("create");
    set_mode(&out, 0o700);
    let listed = Command::new("setfacl").args(["-d", "-m", "u:61999:rwx"]).arg(&out).status();
    assert!(listed.expect("needs setfacl, as tests/run installs it").success());
    set_mode(&out, 0o700);
    let fresh = out.join("fresh").to_string_lossy().into_owned();
    for target in [out.to_string_lossy().into_owned(), fresh.clone()] {
        system.ok(&["restore", "latest", "--target", &target]);
        for path in ["models/pipe", "models/one", "models"] {
            let mut names = [0; 200];
            let len = rustix::fs::llistxattr(Path::new(&target).join(path), &mut names).expect("attributes");
            assert!(!String::from_utf8_lossy(&names[..len]).contains("posix_acl"), "{target}/{path}");
        }
    }
    let mut names = [0; 200];
    let len = rustix::fs::llistxattr(Path::new(&fresh), &mut names).expect("attributes");
    assert!(!String::from_utf8_lossy(&names[..len]).contains("posix_acl"));
}

/// Anybody could make the folder before root restored into it, and had a program in it that runs as root.
#[test]
fn nothing_is_restored_into_a_folder_that_others_get_into() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.create();
    let out = system.path("out");
    fs::create_dir(&out).expect("create");
    let target = out.to_string_lossy().into_owned();
    for (mode, owner) in [(0o755, 0), (0o710, 0), (0o700, STRANGER)] {
        set_mode(&out, mode);
        chown(&out, Some(owner), None).expect("root");
        system
            .run(&["restore", "latest", "--target", &target])
            .ended(2)
            .says("others than root get into")
            .says("name a folder that is not there");
        assert_eq!(fs::read_dir(&out).expect("list").count(), 0);
    }
    system.ok(&["restore", "latest", "--target", &target, "--trust-files"]);
}

/// The first line of any file of root was sent as a password to whoever listened where the server was expected.
#[test]
fn a_password_file_is_not_read_through_a_link_of_somebody_else() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    system.write("secret", "a secret of root\n");
    system.write("secrets/own", "a password\n");
    symlink(system.path("secret"), system.path("secrets/db")).expect("link");
    own(&system, "secrets/db");
    let with = |name: &str| {
        let text =
            format!("[database]\nname = \"x\"\nhost = \"127.0.0.1\"\nport = 1\npassword_file = \"secrets/{name}\"\n");
        system.write("larder.toml", text);
        system.run(&["plan"])
    };
    with("db").ended(1).says("link of user 61999").says("password file");
    with("own").ended(PARTIAL);
    // What is not believed is not shown either, in an error least of all.
    system.write("hidden", "[S3CR3T\n");
    fs::remove_file(system.path("larder.toml")).expect("remove");
    symlink(system.path("hidden"), system.path("larder.toml")).expect("link");
    own(&system, "larder.toml");
    let run = system.run(&["plan"]);
    run.ended(2).says("link of user 61999");
    assert!(!run.stderr.contains("S3CR3T"), "{run:?}");
}
