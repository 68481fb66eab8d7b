//! Where an engine runs: on this host, whatever its address is, or on another one that seems to be this.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use crate::proxy::Proxy;
use crate::support::{Run, Stack, component, run};

/// A user who has no name.
const STRANGER: u32 = 61_998;

fn socket_of(host: &str) -> PathBuf {
    PathBuf::from(host.strip_prefix("unix://").expect("the engine of the tests has a socket"))
}

/// Makes the folder of a volume that was made elsewhere, as an ordinary user.
fn make_throwaway(root: &[u8], said: &[u8]) {
    let (root, said) = (String::from_utf8_lossy(root), String::from_utf8_lossy(said));
    let Some((_, rest)) = said.split_once("\"Name\":\"larder-throwaway-") else { return };
    let around = PathBuf::from(format!("{root}/volumes/larder-throwaway-{}", &rest[..16]));
    fs::create_dir_all(around.join("_data")).expect("the tests run as root");
    for path in [around.clone(), around.join("_data")] {
        chown(path, Some(STRANGER), Some(STRANGER)).expect("the tests run as root");
    }
}

/// Passes on bytes with one path in the place of another one, which is as long.
fn pass(from: impl Read, to: impl Write, paths: (&[u8], &[u8])) {
    pass_hearing(from, to, paths, |_| {});
}

fn pass_hearing(mut from: impl Read, mut to: impl Write, (path, other): (&[u8], &[u8]), hear: impl Fn(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let said = &mut buffer[..len];
        let places: Vec<usize> =
            said.windows(path.len()).enumerate().filter(|(_, part)| *part == path).map(|(at, _)| at).collect();
        for at in places {
            said[at..at + other.len()].copy_from_slice(other);
        }
        hear(said);
        if to.write_all(said).is_err() {
            break;
        }
    }
}

/// The address of a port of this host that leads to the engine.
fn by_port(stack: &Stack) -> String {
    let (listener, engine) = (TcpListener::bind("127.0.0.1:0").expect("a port is free"), socket_of(&stack.host));
    let address = listener.local_addr().expect("it has a port");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let to_engine = UnixStream::connect(&engine).expect("the engine runs");
            let copies = (client.try_clone().expect("a copy"), to_engine.try_clone().expect("a copy"));
            std::thread::spawn(move || pass(client, to_engine, (b"-", b"-")));
            std::thread::spawn(move || {
                let (client, engine): (TcpStream, UnixStream) = copies;
                pass(engine, client, (b"-", b"-"));
            });
        }
    });
    format!("tcp://{address}")
}

/// An engine that keeps its data elsewhere, and so does not find it in the folder that it names here, but for volumes that an ordinary
/// user makes here in time, where `helped` says so. Returns its address and that folder.
fn of_another_host(stack: &Stack, helped: bool) -> (String, PathBuf) {
    let root = stack.docker(&["info", "-f", "{{.DockerRootDir}}"]).exits(0).text();
    let other = format!("{}~", &root[..root.len() - 1]);
    let (socket, engine) = (stack.path(&format!("../other{helped}.sock")), socket_of(&stack.host));
    let listener = UnixListener::bind(&socket).expect("the folder is ours");
    let (told, folder) = (other.clone(), PathBuf::from(other));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let to_engine = UnixStream::connect(&engine).expect("the engine runs");
            let copies = (client.try_clone().expect("a copy"), to_engine.try_clone().expect("a copy"));
            let (root, told) = (root.clone().into_bytes(), told.clone().into_bytes());
            std::thread::spawn(move || pass(client, to_engine, (b"-", b"-")));
            std::thread::spawn(move || {
                let (client, engine) = copies;
                let help = |said: &[u8]| {
                    if helped {
                        make_throwaway(&told, said);
                    }
                };
                pass_hearing(engine, client, (root.as_slice(), told.as_slice()), help);
            });
        }
    });
    (format!("unix://{}", socket.display()), folder)
}

fn larder(stack: &Stack, host: &str, arguments: &[&str]) -> Run {
    run(stack.command(arguments).env("DOCKER_HOST", host))
}

/// An engine that is reached by a port counted as one of another host: what its containers write to was not known, and a link of theirs
/// was followed.
#[test]
fn a_link_where_a_container_may_write_is_refused_whatever_the_address_of_the_engine_is() {
    let stack = Stack::bare();
    fs::create_dir_all(stack.path("data")).expect("ours");
    fs::create_dir(stack.path("secret")).expect("ours");
    fs::write(stack.path("secret/key"), "a secret").expect("ours");
    symlink(stack.path("secret"), stack.path("data/uploads")).expect("ours");
    stack.configure("[directories]\nuploads = \"data/uploads\"\n");
    stack.create_volume("x", &[]);
    let bind = format!("{}:/data", stack.path("data").display());
    stack.start("app", (&stack.volume("x"), "/x"), &["--volume", &bind], &["sleep", "1000"]);
    let host = by_port(&stack);
    for state in ["state", "other"] {
        let mut command = stack.command(&["create", "--json", "--components", "uploads"]);
        let refused = run(command.env("DOCKER_HOST", &host).env("STATE_DIRECTORY", stack.path(state)));
        assert!(refused.code != 0 && refused.all().contains("lies where a container may write"), "{}", refused.all());
    }
}

/// An engine of another host, whose socket is brought here and whose host has the name of this one, was taken for that of this
/// host: a folder of this one was saved as its volume, and written.
#[test]
fn a_folder_of_this_host_is_not_taken_for_a_volume_of_another_one() {
    let stack = Stack::bare();
    stack.start_models();
    for helped in [false, true] {
        assert_is_elsewhere(&stack, helped);
    }
}

fn assert_is_elsewhere(stack: &Stack, helped: bool) {
    stack.write("ollama_data", "file", b"there");
    let (host, root) = of_another_host(stack, helped);
    let volumes = root.join("volumes");
    let here = volumes.join(stack.volume("ollama_data")).join("_data");
    fs::create_dir_all(&here).expect("beside what is the engine's");
    fs::write(here.join("file"), "here").expect("ours");

    let saved = larder(stack, &host, &["create", "--json"]).exits(0).json();
    let models = component(&saved, "docker_volume_ollama_data");
    let content = stack.larder(&["cat", "latest:docker_volume_ollama_data/file"]).exits(0);
    stack.write("ollama_data", "file", b"newer there");
    let restored = larder(stack, &host, &["restore", "latest", "--components", "docker_volume_ollama_data", "--force"]);
    let local = fs::read(here.join("file"));
    let found = fs::read_dir(&volumes).expect("list").flatten();
    let found = found.filter(|entry| !entry.file_name().to_string_lossy().starts_with("larder-throwaway-")).count();
    fs::remove_dir_all(&root).expect("ours");
    restored.exits(0);
    assert_eq!(models["volume"]["method"], "engine", "{models}");
    assert!(models["notes"].to_string().contains("has not shown that it runs on this one"), "{models}");
    assert_eq!((content.text().as_str(), local.expect("there").as_slice()), ("there", &b"here"[..]));
    let models = stack.mountpoint(&stack.volume("ollama_data"));
    assert_eq!(fs::read(models.join("file")).expect("it is back"), b"there");
    assert_eq!(found, 1, "nothing else was made");
}

/// How the models are read through the engine at this address.
fn method(stack: &Stack, host: &str) -> (String, String) {
    let models = component(&larder(stack, host, &["create", "--json"]).json(), "docker_volume_ollama_data").clone();
    (models["volume"]["method"].to_string(), models["notes"].to_string())
}

/// Whoever could answer at the socket had any folder of the host read as a volume, and written.
#[test]
fn the_socket_of_an_ordinary_user_is_not_that_of_the_engine_of_this_host() {
    let stack = Stack::bare();
    stack.start_models();
    let proxy = Proxy::start(&stack.host);
    assert_eq!(method(&stack, &proxy.host()).0, "\"mountpoint\"");
    let socket = socket_of(&proxy.host());
    chown(&socket, Some(STRANGER), None).expect("the tests run as root");
    let (by, notes) = method(&stack, &proxy.host());
    assert!(by == "\"engine\"" && notes.contains("has not shown that it runs on this one"), "{by} {notes}");
    // He could put another one in its place as well.
    chown(&socket, Some(0), None).expect("the tests run as root");
    chown(socket.parent().expect("a folder"), Some(STRANGER), None).expect("the tests run as root");
    assert_eq!(method(&stack, &proxy.host()).0, "\"engine\"");
}

/// A container that filled the disk of the engine ended all backups of volumes, because no volume could be made any more.
#[test]
fn an_engine_that_makes_no_volume_is_known_by_a_container_that_runs() {
    let stack = Stack::bare();
    stack.start_models();
    let proxy = Proxy::start(&stack.host);
    proxy.refuse("/volumes/create", 100);
    assert_eq!(method(&stack, &proxy.host()).0, "\"mountpoint\"");
}
