//! What `forget` says.

use larder::pipeline::forget::Forgotten;
use serde::Serialize;

/// The snapshots that were deleted.
#[derive(Debug, Serialize)]
pub(crate) struct ForgetDocument<'a> {
    forgotten: Vec<ForgottenDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct ForgottenDocument<'a> {
    name: &'a str,
    /// Whether `undelete` brings it back.
    can_return: bool,
}

impl<'a> ForgetDocument<'a> {
    pub(crate) fn new(forgotten: &'a [Forgotten]) -> Self {
        let one = |one: &'a Forgotten| ForgottenDocument { name: &one.name, can_return: one.can_return };
        Self { forgotten: forgotten.iter().map(one).collect() }
    }
}
