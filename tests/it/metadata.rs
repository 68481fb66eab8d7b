//! What a snapshot keeps of an entry beside its bytes, and that a restore gives all of it back.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, mknodat, utimensat};

use super::support::{Entry, System, assert_same_content, assert_same_metadata, is_root, noise};

/// Backs the system up, restores it into a folder, and gives the folder.
fn round_trip(system: &System) -> PathBuf {
    system.create();
    system.ok(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]);
    system.path("out")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

fn set_mtime(path: &Path, secs: i64, nanos: i64) {
    let time = Timespec { tv_sec: secs, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("time");
}

#[test]
fn modes_owners_and_times_come_back() {
    let system = System::new();
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2711), ("sticky", 0o1644), ("none", 0o400), ("all", 0o777)] {
        let path = PathBuf::from("models").join(name);
        system.write(&path, name);
        if is_root() {
            std::os::unix::fs::lchown(system.path(&path), Some(70_000), Some(3_000_000)).expect("owner");
        }
        set_mode(&system.path(&path), mode);
        set_mtime(&system.path(&path), 1_234_567_890, 123_456_789);
    }
    system.write("models/before-1970", "x");
    set_mtime(&system.path("models/before-1970"), -86_400, 1);
    symlink("setuid", system.path("models/link")).expect("link");
    if is_root() {
        std::os::unix::fs::lchown(system.path("models/link"), Some(70_000), Some(3_000_000)).expect("owner");
    }
    set_mtime(&system.path("models/link"), 1_000_000_000, 999_999_999);
    fs::create_dir(system.path("models/shared")).expect("create");
    set_mode(&system.path("models/shared"), 0o3775);
    set_mtime(&system.path("models/shared"), 1_111_111_111, 1);
    set_mode(&system.path("models"), 0o750);
    set_mtime(&system.path("models"), 1_222_222_222, 222_222_222);
    let out = round_trip(&system);
    assert_same_metadata(&system.path("models"), &out.join("models"));
    assert_same_content(&system.path("models"), &out.join("models"));
    let restored = Entry::of(&out.join("models/setuid"));
    assert_eq!((restored.mode & 0o7777, restored.mtime), (0o4755, (1_234_567_890, 123_456_789)));
    if is_root() {
        assert_eq!(restored.owner, (70_000, 3_000_000));
    }
}

#[test]
fn links_empty_folders_and_odd_names_come_back() {
    let system = System::with_model("one");
    symlink("one", system.path("models/good")).expect("link");
    symlink("/nowhere/at all\n", system.path("models/dangling")).expect("link");
    symlink(".", system.path("models/loop")).expect("link");
    fs::create_dir_all(system.path("models/empty/deeper")).expect("create");
    system.write("models/no bytes", "");
    system.write(Path::new("models").join(OsStr::from_bytes(b"not \xff\xfe UTF-8")), "name");
    system.write("models/-rf", "dash");
    system.write("models/new\nline \u{1b}[2J", "control");
    system.write("models/ umlaut \u{fc} \u{1f980}", "unicode");
    system.write(Path::new("models").join("x".repeat(255)), "long");
    let out = round_trip(&system);
    assert_same_metadata(&system.path("models"), &out.join("models"));
    assert_same_content(&system.path("models"), &out.join("models"));
    assert!(out.join("models").join(OsStr::from_bytes(b"not \xff\xfe UTF-8")).exists());
    assert!(!system.ok(&["ls", "-r", "latest"]).stdout.contains('\u{1b}'), "names cannot write to the terminal");
}

#[test]
fn hard_links_share_an_inode_again() {
    let system = System::with_model("shared");
    system.write("models/a/other", "alone");
    for name in ["models/two", "models/a/three"] {
        fs::hard_link(system.path("models/one"), system.path(name)).expect("link");
    }
    let out = round_trip(&system);
    let inode = |name: &str| out.join(name).metadata().expect("metadata").ino();
    assert_eq!(inode("models/one"), inode("models/two"));
    assert_eq!(inode("models/one"), inode("models/a/three"));
    assert_ne!(inode("models/one"), inode("models/a/other"));
    assert_same_metadata(&system.path("models"), &out.join("models"));
    // One of the names is replaced by a file of its own, and the live restore joins them again.
    fs::remove_file(system.path("models/two")).expect("remove");
    system.write("models/two", "apart now");
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    let live = |name: &str| system.path(name).metadata().expect("metadata").ino();
    assert_eq!(live("models/one"), live("models/two"));
    assert_eq!(system.read("models/two"), b"shared");
}

#[test]
fn a_sparse_file_stays_sparse() {
    const SIZE: u64 = 1 << 30;
    let system = System::new();
    system.write("models/sparse", "");
    let file = fs::File::options().write(true).open(system.path("models/sparse")).expect("open");
    file.set_len(SIZE).expect("size");
    for offset in [0, 300 << 20, (1 << 30) - 5] {
        std::os::unix::fs::FileExt::write_all_at(&file, b"data!", offset).expect("write");
    }
    drop(file);
    let report = system.json(&["create"]);
    assert_eq!(report["bytes"], SIZE);
    assert!(
        report["components"][0]["bytes_read"].as_u64().expect("a number") < 1 << 20,
        "holes are not read: {report}"
    );
    system.ok(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]);
    let restored = system.path("out/models/sparse").metadata().expect("metadata");
    assert_eq!(restored.len(), SIZE);
    assert!(restored.blocks() * 512 < 1 << 20, "{} blocks", restored.blocks());
    let file = fs::File::open(system.path("out/models/sparse")).expect("open");
    for (offset, expected) in [(0, b"data!"), (300 << 20, b"data!"), ((1 << 30) - 5, b"data!"), (1 << 29, &[0; 5])] {
        let mut found = [1; 5];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut found, offset).expect("read");
        assert_eq!(&found, expected, "at {offset}");
    }
    let exported = system.ok(&["verify", "latest", "--read-data", "--test-restore"]);
    exported.shows("OK");
}

#[test]
fn pipes_and_devices_come_back() {
    let system = System::with_model("one");
    mknodat(CWD, system.path("models/pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).expect("pipe");
    if is_root() {
        let number = rustix::fs::makedev(1, 3);
        // A container may not be allowed to make devices even for root.
        let made =
            mknodat(CWD, system.path("models/null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), number);
        assert!(made.is_ok() || made == Err(rustix::io::Errno::PERM), "{made:?}");
    }
    let out = round_trip(&system);
    assert_same_metadata(&system.path("models"), &out.join("models"));
    let restored = Entry::of(&out.join("models/pipe"));
    assert_eq!(FileType::from_raw_mode(restored.mode), FileType::Fifo);
}

#[test]
fn attributes_and_access_lists_come_back() {
    let system = System::with_model("one");
    let path = system.path("models/one");
    let binary: Vec<u8> = (0..=255).chain(*b"\nend\n").collect();
    let set = rustix::fs::setxattr(&path, "user.binary", &binary, XattrFlags::empty());
    if set == Err(rustix::io::Errno::OPNOTSUPP) {
        return;
    }
    set.expect("attribute");
    rustix::fs::setxattr(&path, "user.empty", b"", XattrFlags::empty()).expect("attribute");
    rustix::fs::setxattr(system.path("models"), "user.folder", b"too", XattrFlags::empty()).expect("attribute");
    // Version 2; owner rw, user 70000 r, group r, mask r, others nothing.
    let entry = |tag: u16, permissions: u16, id: u32| {
        [tag.to_le_bytes().to_vec(), permissions.to_le_bytes().to_vec(), id.to_le_bytes().to_vec()].concat()
    };
    let entries = [entry(1, 6, !0), entry(2, 4, 70_000), entry(4, 4, !0), entry(16, 4, !0), entry(32, 0, !0)];
    let list = [2_u32.to_le_bytes().to_vec(), entries.concat()].concat();
    rustix::fs::setxattr(&path, "system.posix_acl_access", &list, XattrFlags::empty()).expect("access list");
    if Command::new("setfacl").arg("-d").args(["-m", "u:70001:rwx"]).arg(system.path("models")).status().is_ok() {
        assert!(Entry::of(&system.path("models")).xattrs.contains_key(&b"system.posix_acl_default"[..]));
    }
    let out = round_trip(&system);
    let restored = Entry::of(&out.join("models/one"));
    assert_eq!(restored.xattrs.get(&b"user.binary"[..]), Some(&binary));
    assert_eq!(restored.xattrs.get(&b"system.posix_acl_access"[..]), Some(&list));
    assert_same_metadata(&system.path("models"), &out.join("models"));
    // A changed attribute alone is put right by a live restore, and one that was added is removed.
    rustix::fs::setxattr(&path, "user.binary", b"changed", XattrFlags::empty()).expect("attribute");
    rustix::fs::setxattr(&path, "user.extra", b"added", XattrFlags::empty()).expect("attribute");
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    assert_same_metadata(&out.join("models"), &system.path("models"));
}

#[test]
fn a_path_of_4000_bytes_comes_back() {
    let system = System::new();
    let mut relative = PathBuf::from("models");
    while relative.as_os_str().len() < 3_900 {
        relative.push("d".repeat(99));
    }
    relative.push("f".repeat(4_000 - relative.as_os_str().len() - 1));
    assert_eq!(relative.as_os_str().len(), 4_000);
    system.write(&relative, "deep");
    system.create();
    system.ok(&["restore", "latest", "--target", &system.path("o").to_string_lossy()]);
    assert_eq!(system.read(Path::new("o").join(&relative)), b"deep");
    assert_same_metadata(&system.path("models"), &system.path("o/models"));
    let cat = system.ok(&["cat", &format!("latest:{}", relative.display())]);
    assert_eq!(cat.stdout, "deep");
    // A live restore finds and removes what is as deep as that.
    let extra = relative.with_file_name("extra");
    system.write(&extra, "more");
    fs::remove_file(system.path(&relative)).expect("remove");
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    assert_eq!(system.read(&relative), b"deep");
    assert!(!system.exists(&extra));
}

#[test]
fn changed_metadata_alone_is_backed_up_and_restored() {
    let system = System::with_model("one");
    set_mode(&system.path("models/one"), 0o600);
    let first = system.create();
    set_mode(&system.path("models/one"), 0o755);
    let second = system.create();
    let difference = system.json(&["diff", &first, &second]);
    assert_eq!(difference["metadata"], 1, "{difference}");
    for (name, mode) in [(&first, 0o600), (&second, 0o755)] {
        system.ok(&["restore", name, "--force", "--no-snapshot"]);
        assert_eq!(Entry::of(&system.path("models/one")).mode & 0o7777, mode);
    }
}

#[test]
fn a_second_name_of_a_file_that_is_still_being_restored_is_made_anew() {
    let system = System::new();
    system.write("models/a", noise(100_000, 1));
    // More than one group of files, so that the first one is on its way when the last name comes.
    for number in 0..300 {
        system.write(format!("models/b{number}"), noise(500, 2 + number));
    }
    fs::hard_link(system.path("models/a"), system.path("models/z")).expect("link");
    let first = system.create();
    system.write("models/a", "changed under both names");
    for number in 0..300 {
        system.write(format!("models/b{number}"), "changed");
    }
    system.ok(&["restore", &first, "--force", "--no-snapshot"]);
    for number in 0..300 {
        assert!(system.read(format!("models/b{number}")) == noise(500, 2 + number), "{number}");
    }
    assert!(system.read("models/a") == noise(100_000, 1) && system.read("models/z") == noise(100_000, 1));
    let inode = |name: &str| fs::metadata(system.path(name)).expect("it is there").ino();
    assert_eq!(inode("models/a"), inode("models/z"));
}
