//! What belongs to a project, and what an image or another project cannot have taken for it. What is restored in the folder of
//! one never reaches the other.

use crate::support::{IMAGE, Stack, component, run, text};

#[test]
fn a_restore_in_a_test_project_leaves_the_project_alone_that_was_saved() {
    let [live, test] = [Stack::bare(), Stack::bare()];
    live.start_postgres();
    live.start_redis("redis_data");
    live.redis("set a 1");
    test.start_models();
    let name = text(&live.create()["name"]);
    live.redis("set a 2");
    let state = |service: &str| {
        live.docker(&["inspect", "-f", "{{.State.Status}} {{.State.StartedAt}}", &live.container(service)]).text()
    };
    let before = ["cti_redis", "cti_postgres"].map(state);

    let restore = |components: &str| {
        let arguments = ["restore", &name, "--components", components, "--force", "--no-snapshot"];
        run(&mut test.command_on(&live.repository(), &arguments))
    };
    restore("docker_volume_redis_data").exits(0);
    let made = test.volume("redis_data");
    let labels = test.docker(&["volume", "inspect", "-f", "{{json .Labels}}", &made]).exits(0).text();
    assert!(labels.contains(&test.project) && !labels.contains(&live.project), "{labels}");
    test.start_redis_on("cti_redis", &made);
    assert_eq!(test.redis("get a"), "1");

    let refused = restore("database").exits(2);
    assert!(refused.stderr.contains(&live.container("cti_postgres")), "{}", refused.stderr);
    assert_eq!(live.redis("get a"), "2");
    assert_eq!(before, ["cti_redis", "cti_postgres"].map(state), "nothing of it was stopped");
}

/// A folder without a project says nothing of whose the volume is that stands there.
#[test]
fn a_restore_without_a_project_writes_into_no_volume_of_another() {
    let [live, nothing] = [Stack::bare(), Stack::bare()];
    live.start_redis("redis_data");
    let name = text(&live.create()["name"]);
    let arguments = ["restore", &name, "--components", "docker_volume_redis_data", "--force"];
    let refused = run(&mut nothing.command_on(&live.repository(), &arguments)).exits(2);
    assert!(refused.stderr.contains("another project") && refused.stderr.contains("--volume"), "{}", refused.stderr);
}

/// Whoever wrote the repository had a restore write into any volume of the engine that has no label, by its name.
#[test]
fn a_restore_writes_into_no_volume_that_nothing_gives_to_the_project() {
    let stack = Stack::bare();
    stack.start_models();
    let other = format!("{}other", stack.project);
    stack.docker(&["volume", "create", &other]).exits(0);
    let place = stack.mountpoint(&other);
    std::fs::write(place.join("file"), "kept").expect("the tests run as root");
    let section = format!("[volumes.other]\nname = \"{other}\"\n");
    stack.configure(&section);
    let name = text(&stack.create()["name"]);
    std::fs::write(place.join("file"), "newer").expect("the tests run as root");
    let restore = |further: &[&str]| {
        let command = ["restore", &name, "--force", "--components", "docker_volume_other"];
        stack.larder(&[&command[..], further].concat())
    };
    // Without its section it is no volume of this project.
    stack.configure("");
    let refused = restore(&[]).exits(2);
    assert!(refused.stderr.contains("nothing says that it belongs to this directory"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--volume other=NAME"), "{}", refused.stderr);
    assert_eq!(std::fs::read(place.join("file")).expect("it stays"), b"newer");
    restore(&["--volume", &format!("other={other}")]).exits(0);
    assert_eq!(std::fs::read(place.join("file")).expect("it is back"), b"kept");
    std::fs::write(place.join("file"), "newer").expect("the tests run as root");
    stack.configure(&section);
    restore(&[]).exits(0);
    assert_eq!(std::fs::read(place.join("file")).expect("it is back"), b"kept");
    stack.docker(&["volume", "rm", &other]).exits(0);
}

/// Makes an image with labels, and a container of it that mounts a volume.
fn start_foreign(stack: &Stack, labels: &[String]) {
    let (image, name, volume) =
        (format!("larder-foreign-{}", stack.project), stack.container("foreign"), stack.volume("foreign"));
    stack.docker(&["create", "--name", &name, IMAGE, "rm"]).exits(0);
    let changes: Vec<String> = labels.iter().map(|label| format!("LABEL {label}")).collect();
    let changes = changes.iter().flat_map(|change| ["--change", change.as_str()]);
    let words: Vec<&str> = std::iter::once("commit").chain(changes).chain([name.as_str(), image.as_str()]).collect();
    stack.docker(&words).exits(0);
    stack.docker(&["rm", &name]).exits(0);
    stack.docker(&["volume", "create", &volume]).exits(0);
    let mount = format!("type=volume,src={volume},dst=/foreign,volume-nocopy");
    stack.docker(&["create", "--name", &name, "--mount", &mount, &image, "rm"]).exits(0);
}

/// Containers of an image that had such labels were part of the project, with their volumes and databases, and one with the
/// label of a helper was removed.
#[test]
fn an_image_says_of_its_containers_neither_the_project_nor_whose_they_are() {
    let stack = Stack::bare();
    stack.start_models();
    let folder = stack.path("").canonicalize().expect("the folder is there");
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux");
    start_foreign(
        &stack,
        &[
            format!("com.docker.compose.project={}", stack.project),
            "com.docker.compose.service=aaa".to_owned(),
            format!("com.docker.compose.project.working_dir={}", folder.display()),
            "larder.database=true".to_owned(),
            format!("larder.helper={}/99999/1", hostname.trim()),
        ],
    );
    let plan = stack.larder(&["plan", "--json"]).exits(0).json();
    let names: Vec<&str> =
        plan["components"].as_array().expect("a list").iter().filter_map(|part| part["name"].as_str()).collect();
    assert_eq!(names, ["config", "docker_volume_ollama_data"]);
    let shown = stack.larder(&["plan"]).exits(0).stdout;
    let line = format!("of the container {} the labels com.docker.compose.project,", stack.container("foreign"));
    assert!(shown.contains(&line), "{shown}");
    stack.configure("[volumes.ollama_data]\nmethod = \"engine\"\n");
    stack.create();
    assert_eq!(stack.state("foreign"), "created", "it is not ours to remove");
    stack.docker(&["rm", &stack.container("foreign")]).exits(0);
    stack.docker(&["image", "rm", &format!("larder-foreign-{}", stack.project)]).exits(0);
}

/// What had the name of the component by then got the data of another volume, and of another database.
#[test]
fn a_restore_goes_where_the_snapshot_came_from_and_not_where_its_name_went() {
    let stack = Stack::bare();
    stack.start_models();
    stack.start_postgres();
    stack.write("ollama_data", "model", b"1");
    stack.sql("CREATE TABLE numbers AS SELECT 1 AS n");
    let name = text(&stack.create()["name"]);
    stack.write("ollama_data", "model", b"2");
    stack.sql("UPDATE numbers SET n = 2");
    let other = format!("a{}_other", stack.project);
    let labels = ["project", "volume"].map(|key| format!("com.docker.compose.{key}="));
    let [project, volume] = [format!("{}{}", labels[0], stack.project), format!("{}ollama_data", labels[1])];
    stack.docker(&["volume", "create", "--label", &project, "--label", &volume, &other]).exits(0);
    let mountpoint = stack.create_volume("first_data", &[]);
    stack.start_postgres_on("a_first", &stack.volume("first_data"), &mountpoint);
    let plan = stack.larder(&["plan", "--json"]).exits(0).json();
    assert_eq!(component(&plan, "docker_volume_ollama_data")["source"], other.as_str(), "the name has moved");
    assert_eq!(component(&plan, "database")["containers"][0], stack.container("a_first"), "the name has moved");

    let restore = |component: &str| {
        stack.larder(&["restore", &name, "--components", component, "--force", "--no-snapshot"]).exits(0);
    };
    restore("docker_volume_ollama_data");
    let files = |volume: &str| std::fs::read(stack.mountpoint(volume).join("model")).ok();
    assert_eq!(files(&stack.volume("ollama_data")).as_deref(), Some(&b"1"[..]));
    assert_eq!(files(&other), None);
    restore("database");
    assert_eq!(stack.sql("SELECT n FROM numbers"), "1");
    let there = "SELECT to_regclass('public.numbers') IS NULL";
    assert_eq!(stack.try_sql("a_first", "cti", there).exits(0).text(), "t", "nothing was restored there");
}

/// A volume that took the name of another one's component, and went, had its content restored into that one.
#[test]
fn a_restore_writes_no_volume_that_the_snapshot_has_as_another_component() {
    let stack = Stack::bare();
    stack.start_models();
    stack.write("ollama_data", "model", b"ours");
    let other = format!("a{}_other", stack.project);
    let labels = ["project", "volume"].map(|key| format!("com.docker.compose.{key}="));
    let [project, volume] = [format!("{}{}", labels[0], stack.project), format!("{}ollama_data", labels[1])];
    stack.docker(&["volume", "create", "--label", &project, "--label", &volume, &other]).exits(0);
    std::fs::write(stack.mountpoint(&other).join("model"), "theirs").expect("the tests run as root");
    let name = text(&stack.create()["name"]);
    stack.docker(&["volume", "rm", &other]).exits(0);
    let restore = ["restore", &name, "--components", "docker_volume_ollama_data", "--force", "--no-snapshot"];
    let refused = stack.larder(&restore).exits(2);
    assert!(refused.all().contains("which was saved as docker_volume_ollama_data_2"), "{}", refused.all());
    let mapping = format!("ollama_data={other}");
    stack.larder(&[&restore[..], &["--volume", &mapping]].concat()).exits(0);
    assert_eq!(std::fs::read(stack.mountpoint(&other).join("model")).expect("restored"), b"theirs");
    let own = stack.volume("ollama_data");
    assert_eq!(std::fs::read(stack.mountpoint(&own).join("model")).expect("there"), b"ours");
    stack.docker(&["volume", "rm", &other]).exits(0);
}
