//! What people and programs are shown, whoever shows it: the documents of `--json`, numbers and words, charts.

pub(crate) mod chart;
pub(crate) mod documents;
pub(crate) mod phases;
