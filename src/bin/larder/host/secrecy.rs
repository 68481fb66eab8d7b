//! What this process keeps to itself: its memory has passwords and the contents of files.

use rustix::process::{DumpableBehavior, Resource, Rlimit, geteuid, set_dumpable_behavior, setrlimit};

/// Has no crash leave a core dump, of this process and of the programs that it starts.
pub(crate) fn leave_no_core_dumps() {
    // What the system does not let be lowered is as it was: that is no reason not to make a backup.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // A program that the kernel gives core dumps to may take them whatever the limit is. Who is not root can look into his
    // processes anyway, and could not trace this one any more.
    if geteuid().is_root() {
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
