//! The two ways to read and write a volume, and its archive: where it lies, and through the engine.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Stack, component, files_in, noise, run, text};

/// A volume with everything that both ways can show, at whole seconds.
fn stack_with_models() -> Stack {
    let stack = Stack::bare();
    stack.start_models();
    stack.write("ollama_data", "model.bin", &noise(2 << 20, 1));
    stack.write("ollama_data", "a/b.txt", b"text");
    stack.write("ollama_data", "a-b/c", b"beside a");
    stack.write("ollama_data", "a/CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55");
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    fs::hard_link(models.join("model.bin"), models.join("a/same")).expect("linked");
    let script = "cd \"$0\" && mkfifo pipe && ln -s ../x link && mknod null c 1 3 && chown 70000:80000 a && chmod 1770 a && \
        touch \"$(printf 'odd\\nname')\" \"$(printf 'n%.0s' $(seq 200))\" && find . -exec touch -h -d @1700000000 {} +";
    run(Command::new("bash").arg("-c").arg(script).arg(&models)).exits(0);
    stack
}

fn create_by(stack: &Stack, method: &str) -> Value {
    stack.configure(&format!("[volumes.ollama_data]\nmethod = \"{method}\"\n"));
    stack.create()
}

#[test]
fn both_ways_show_the_same_tree() {
    let stack = stack_with_models();
    let direct = create_by(&stack, "mountpoint");
    let archived = create_by(&stack, "engine");
    let names = [&direct, &archived].map(|night| text(&night["name"]));
    let trees = names
        .clone()
        .map(|name| stack.larder(&["ls", "-r", &format!("{name}:docker_volume_ollama_data")]).exits(0).stdout);
    assert_eq!(trees[0], trees[1]);
    let diff = stack.larder(&["diff", &names[0], &names[1]]).exits(0).stdout;
    assert!(!diff.contains("docker_volume_ollama_data"), "{diff}");
    let volume = component(&archived, "docker_volume_ollama_data");
    assert_eq!(volume["volume"]["method"], "engine");
    assert!(volume["notes"].to_string().contains("extended attributes"), "{volume}");
    assert_eq!(volume["bytes_new"], 0, "every chunk was there: {volume}");
}

#[test]
fn what_one_way_saved_the_other_way_restores() {
    let stack = stack_with_models();
    let before = stack.files(&stack.volume("ollama_data"));
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    for (save, restore) in [("mountpoint", "engine"), ("engine", "mountpoint"), ("engine", "engine")] {
        let name = text(&create_by(&stack, save)["name"]);
        let script = "cd \"$0\" && rm -rf a link && mkdir -p link/deep new/deep && echo x > new/deep/y && echo z > model.bin && chmod 700 .";
        run(Command::new("sh").arg("-c").arg(script).arg(&models)).exits(0);
        stack.configure(&format!("[volumes.ollama_data]\nmethod = \"{restore}\"\n"));
        stack.larder(&["restore", &name, "--components", "docker_volume_ollama_data", "--force"]).exits(0);
        assert_eq!(stack.files(&stack.volume("ollama_data")), before, "saved by {save}, restored by {restore}");
        stack.assert_runs(&["ollama"]);
    }
}

/// What a container mounts below the place of its volume is not in that volume.
#[test]
fn what_is_mounted_within_a_volume_survives_its_restore() {
    let stack = Stack::bare();
    stack.configure("[volumes.outer]\nmethod = \"engine\"\n[volumes.inner]\nskip = true\n");
    let (outer, inner) = (stack.volume("outer"), stack.volume("inner"));
    stack.create_volume("outer", &[]);
    stack.create_volume("inner", &[]);
    let bound = stack.path("bound");
    fs::create_dir(&bound).expect("the folder is ours");
    let nested = [format!("{inner}:/models/inner"), format!("{}:/models/bound", bound.display())];
    let user = ["--user", "0:0", "--stop-signal", "KILL"];
    stack.start("plain", (&outer, "/models"), &user, &["/bin/sleep", "600"]);
    let name = text(&stack.create()["name"]);
    let options = [&user[..], &["--volume", &nested[0], "--volume", &nested[1]]].concat();
    stack.start("nested", (&outer, "/models"), &options, &["/bin/sleep", "600"]);
    stack.docker(&["rm", "--force", &stack.container("plain")]).exits(0);
    let script = "echo 1 > /models/inner/kept; echo 2 > /models/bound/kept; echo 3 > /models/goes";
    stack.exec("nested", &["sh", "-c", script]).exits(0);
    stack.larder(&["restore", &name, "--components", "docker_volume_outer", "--force"]).exits(0);
    let found = stack.exec("nested", &["sh", "-c", "cd /models; cat inner/kept bound/kept; ls"]).exits(0).text();
    assert_eq!(found, "1\n2\nbound\ninner");
    assert_eq!(stack.helpers("outer"), "");
}

#[test]
fn an_exported_volume_is_read_by_others() {
    let stack = stack_with_models();
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    fs::write(models.join("fine"), "x").expect("written");
    // `docker cp` refuses links that lead out of the folder that it copies into.
    let script = "cd \"$0\" && ln -sfn model.bin link && truncate -s 64M sparse && setfattr -n user.x -v 0x610a0062 fine && \
        touch -d @1700000000.123456789 fine && chown 3000000:4000000 fine";
    run(Command::new("sh").arg("-c").arg(script).arg(&models)).exits(0);
    let name = text(&stack.create()["name"]);
    let [one, two, unpacked] = ["one", "two", "unpacked"].map(|folder| stack.path("..").join(folder));
    for folder in [&one, &two] {
        stack.larder(&["export", &name, "--to", folder.to_str().expect("UTF-8")]).exits(0);
    }
    let archive = format!("{name}/docker_volumes/ollama_data.tar.gz");
    let bytes = fs::read(one.join(&archive)).expect("the archive is there");
    assert!(bytes == fs::read(two.join(&archive)).expect("the archive is there"), "two exports differ");
    let metadata = fs::read_to_string(one.join(&name).join("metadata.json")).expect("it is there");
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let entry = &metadata["components"]["docker_volume_ollama_data"];
    assert_eq!(entry["filename"], "docker_volumes/ollama_data.tar.gz", "{entry}");
    let sum = run(Command::new("sha256sum").arg(one.join(&archive))).exits(0).stdout;
    assert_eq!(text(&entry["checksum"]), sum.split_whitespace().next().expect("a checksum"));

    fs::create_dir(&unpacked).expect("the folder is ours");
    let tar = ["--xattrs", "--xattrs-include=*", "-xzf"];
    let tar = run(Command::new("tar").arg("-C").arg(&unpacked).args(tar).arg(one.join(&archive))).exits(0);
    assert_eq!(tar.stderr, "");
    assert_eq!(files_in(&unpacked), files_in(&models));
    let value = run(Command::new("getfattr").args(["-e", "hex", "-n", "user.x"]).arg(unpacked.join("fine"))).exits(0);
    assert!(value.stdout.contains("0x610a0062"), "{}", value.stdout);

    let script = "import sys, tarfile, hashlib\nfor m in tarfile.open(sys.argv[1]):\n  d = hashlib.sha256()\n  \
        f = m.isreg() and tarfile.open(sys.argv[1]).extractfile(m.name)\n  print(repr(m.name), m.type, m.size, m.linkname)";
    let listed = run(Command::new("python3").arg("-c").arg(script).arg(one.join(&archive))).exits(0).stdout;
    assert!(listed.contains("'./sparse' b'0' 67108864") && listed.contains("'./odd\\nname'"), "{listed}");

    let copy = stack.volume("copy");
    stack.create_volume("copy", &[]);
    let container = stack.container("copy");
    stack.docker(&["create", "--name", &container, "--volume", &format!("{copy}:/data"), "larder-test", "x"]).exits(0);
    let script = format!("gunzip -c \"$0\" | docker --host {} cp -a - {container}:/data", stack.host);
    run(Command::new("sh").arg("-c").arg(script).arg(one.join(&archive))).exits(0);
    let copied = stack.files(&copy);
    assert_eq!(without_root(&copied), without_root(&files_in(&models)));
}

/// Names that need a record of their own and holes go together, for every reader.
#[test]
fn sparse_files_with_long_and_foreign_names_are_read_by_others() {
    let stack = Stack::bare();
    stack.start_models();
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    let names = ["short".to_owned(), "ä ö".to_owned(), "l".repeat(150), format!("{}/ü", "d".repeat(120))];
    for name in &names {
        let path = models.join(name);
        fs::create_dir_all(path.parent().expect("it lies in the volume")).expect("made");
        let file = fs::File::create(path).expect("made");
        file.set_len(3 << 20).expect("made");
        std::os::unix::fs::FileExt::write_all_at(&file, name.as_bytes(), 2 << 20).expect("written");
    }
    let name = text(&stack.create()["name"]);
    let [to, by_tar, by_python] = ["to", "tar", "python"].map(|folder| stack.path("..").join(folder));
    stack.larder(&["export", &name, "--to", to.to_str().expect("UTF-8")]).exits(0);
    let archive = to.join(format!("{name}/docker_volumes/ollama_data.tar.gz"));
    for folder in [&by_tar, &by_python] {
        fs::create_dir(folder).expect("the folder is ours");
    }
    run(Command::new("tar").arg("-C").arg(&by_tar).arg("-xzf").arg(&archive)).exits(0);
    let script = "import sys, tarfile\ntarfile.open(sys.argv[1]).extractall(sys.argv[2])";
    run(Command::new("python3").args(["-W", "ignore", "-c", script]).arg(&archive).arg(&by_python)).exits(0);
    for name in &names {
        let expected = fs::read(models.join(name)).expect("it is there");
        for folder in [&by_tar, &by_python] {
            let found = fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name} in {folder:?}: {error}"));
            assert!(found == expected, "{name} in {folder:?}");
        }
    }
}

/// `docker cp` does not touch the directory that it copies into.
fn without_root(listing: &str) -> String {
    listing.lines().filter(|line| !line.starts_with('\t')).collect::<Vec<_>>().join("\n")
}

/// An archive has the content of a file with its first name only.
#[test]
fn a_name_of_an_excluded_file_is_left_out_and_not_saved_empty() {
    let stack = stack_with_models();
    stack.configure("[volumes.ollama_data]\nmethod = \"engine\"\nexclude = [\"a/same\"]\n");
    let night = stack.larder(&["create", "--json"]).exits(3).json();
    let models = component(&night, "docker_volume_ollama_data");
    assert_eq!(models["status"], "partial", "{models}");
    assert!(models["errors"].to_string().contains("left out model.bin"), "{models}");
    let listed = stack.larder(&["ls", "latest:docker_volume_ollama_data"]).exits(0).stdout;
    assert!(!listed.contains("model.bin"), "{listed}");
}
