//! Components that are piped in or come from a command: their bytes, and that a failed one leaves nothing.

use std::io::Write;
use std::process::Stdio;

use super::support::{Run, System, noise};

fn pipe(system: &System, arguments: &[&str], input: &[u8]) -> Run {
    let mut command = system.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start");
    child.stdin.take().expect("a pipe").write_all(input).expect("the input is read");
    Run::from_output(&child.wait_with_output().expect("wait"))
}

fn cat(system: &System, place: &str) -> Vec<u8> {
    let output = system.command(&["cat", place]).stderr(Stdio::inherit()).output().expect("run");
    assert_eq!(output.status.code(), Some(0));
    output.stdout
}

#[test]
fn standard_input_is_given_back_byte_for_byte() {
    let system = System::new();
    let data = [noise(3 << 20, 1), vec![0; 1 << 20], b"\r\n\0end".to_vec()].concat();
    let report = pipe(&system, &["create", "--stdin", "crm", "--json"], &data);
    report.ended(0);
    assert_eq!(report.json()["bytes"], data.len());
    assert!(cat(&system, "latest:crm") == data, "cat gives the bytes back");
    system.ok(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]);
    assert!(system.read("out/crm") == data);
    // A stream has no place in the live system.
    system.run(&["restore", "latest", "--force"]).ended(2).says("crm");
}

#[test]
fn empty_input_is_no_backup() {
    let system = System::new();
    pipe(&system, &["create", "--stdin", "crm"], b"").ended(1).says("empty");
    system.run(&["create", "--command", "crm", "--", "true"]).ended(1).says("empty");
    assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_command_that_fails_leaves_no_snapshot() {
    let system = System::with_model("one");
    let first = system.create();
    let run = system.run(&["create", "--command", "crm", "--", "sh", "-c", "echo x; echo why >&2; exit 3"]);
    run.ended(1).says("exit status 3").says("why");
    system.run(&["create", "--command", "crm", "--", "/no/such/program"]).ended(1).says("/no/such/program");
    system.run(&["create", "--command", "crm", "--", "sh", "-c", "echo x; kill -9 $$"]).ended(1).says("signal 9");
    let list = system.json(&["list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list[0]["name"], first.as_str());
    system.ok(&["verify", "--all", "--read-data"]);
}

#[test]
fn a_command_beside_earlier_snapshots() {
    let system = System::with_model("one");
    system.create();
    let arguments =
        ["create", "--json", "--command", "crm", "--", "sh", "-c", "printf 'a b'; echo \"$1\"", "sh", "c d"];
    let report = system.ok(&arguments).json();
    assert_eq!((&report["type"], &report["components"][0]["kind"]), (&"stream".into(), &"stream".into()));
    assert_eq!(cat(&system, "latest@crm:crm"), b"a bc d\n");
    // The same again costs next to nothing, and the directories go on as before.
    let again = system.ok(&arguments).json();
    assert_eq!(again["components"][0]["bytes_new"], 0, "{again}");
    system.create();
    assert_eq!(cat(&system, "latest:models/one"), b"one");
    system.ok(&["verify", "--all", "--read-data"]);
}

#[test]
fn a_name_that_could_leave_the_folder_is_refused() {
    let system = System::new();
    for name in ["../up", "a/b", "", ".", ".."] {
        pipe(&system, &["create", "--stdin", name], b"").ended(2);
    }
    assert!(!system.exists("backups"), "nothing was made");
}
