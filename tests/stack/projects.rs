//! Two projects on one engine: what is restored in the folder of one never reaches the other.

use crate::support::{Stack, run, text};

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
