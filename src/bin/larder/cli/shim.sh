#!/usr/bin/env bash
# The commands of the old backup tool, done by Larder. Written by `larder shim`.
#
# Run it where it was always run: in the directory of the application. LARDER names the program; otherwise it is the one on PATH, or, as
# cron has a short one, the one that wrote this.
set -u

written_by=PROGRAM
larder=${LARDER:-larder}
command -v -- "$larder" >/dev/null || [[ -n ${LARDER:-} || ! -x $written_by ]] || larder=$written_by

usage() {
    cat <<'END'
Usage: backup_restore.sh COMMAND [OPTIONS]

  create      [--type full|database|files] [--no-compress] [--no-verify]
  list        [--show-details]
  restore     NAME [--components A,B] [--dry-run] [--force] [--no-snapshot]
  verify      NAME [--test-restore] [--json]
  prune       [--daily N] [--weekly N] [--monthly N] [--max-size-gb N] [--dry-run] [--force]
  stats
  db-create   a backup of the database alone
  db-list     the same as list
  db-restore  FILE|NAME [--force]

All of them take --backup-dir DIR, where the repository of Larder lies [default: backups].
END
}

gigabytes() {
    if [[ $1 =~ ^[0-9]+(\.[0-9]+)?$ ]]; then awk -v size="$1" 'BEGIN { printf "%.3f", size * 1.073741824 }'; else printf '%s' "$1"; fi
}

command=${1:-}
[[ $# -eq 0 ]] || shift
backup_dir=${LARDER_BACKUP_DIR:-}
arguments=()
while (($#)); do
    case $1 in
        --backup-dir)
            (($# > 1)) || { usage >&2; exit 1; }
            backup_dir=$2
            shift 2
            ;;
        --backup-dir=*) backup_dir=${1#*=}; shift ;;
        # The old tool counted in gibibytes.
        --max-size-gb) arguments+=(--max-size-gb "$(gigabytes "${2:-}")"); shift $(($# > 1 ? 2 : 1)) ;;
        --max-size-gb=*) arguments+=(--max-size-gb "$(gigabytes "${1#*=}")"); shift ;;
        --stats) command=stats; shift ;;
        --list) command=list; shift ;;
        # What is stored is always compressed, and an export says for itself.
        --no-compress) shift ;;
        *) arguments+=("$1"); shift ;;
    esac
done

run() {
    local place=()
    [[ -z $backup_dir ]] || place=(--backup-dir "$backup_dir")
    exec "$larder" "${place[@]}" "$@"
}

case $command in
    create | list | restore | verify | prune | stats) run "$command" "${arguments[@]}" ;;
    db-create) run create --type database "${arguments[@]}" ;;
    db-list) run list "${arguments[@]}" ;;
    db-restore)
        # The name of a file alone is that of one among the backups.
        for number in "${!arguments[@]}"; do
            file=${arguments[$number]}
            if [[ $file != -* && ! -e $file && -e ${backup_dir:-backups}/$file ]]; then
                arguments[number]=${backup_dir:-backups}/$file
            fi
        done
        run restore "${arguments[@]}" --components database
        ;;
    help | --help | -h) usage ;;
    *)
        usage >&2
        exit 1
        ;;
esac
