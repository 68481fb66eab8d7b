//! What may lie in a folder that becomes a repository: earlier backups, and what file systems and version control leave there.

const NAMES: [&str; 3] = ["lost+found", ".gitignore", ".gitkeep"];
const BEGINNINGS: [&str; 2] = ["system_backup_", "pre_restore_"];
const ENDINGS: [&str; 2] = [".sql", ".sql.gz"];

/// Whether an entry of this name may lie in a folder that becomes a repository.
pub(super) fn may_lie_there(name: &str) -> bool {
    NAMES.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}
