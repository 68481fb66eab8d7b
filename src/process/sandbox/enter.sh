# Runs a program as a user that owns nothing, in a file system that is made for it. `bash -c` is given this text, as root
# and as the first process of new namespaces for mounts, network, processes and IPC:
#
#     USER ROOT [ro|rw FROM TO]… -- PROGRAM [ARGUMENT]…
#
# ROOT is an empty folder to mount the new file system on. Nothing is ever put into this text, so it says what is written
# here and nothing else. It is the shell that Debian always has and that can close any descriptor.
#
# When its standard input ends, or when it is killed itself, everything that runs in here ends: it is the first process,
# and the kernel ends all others with it, whatever they did to be left alone. The program has none of it: its standard
# input is empty.
set -eu
umask 022

# What the caller was started with and did not open himself, the lock of a cron job or the log of a service, is his.
for descriptor in /proc/self/fd/*; do
    descriptor=${descriptor##*/}
    if [ "$descriptor" -gt 2 ]; then eval "exec $descriptor<&-"; fi
done

user=$1 root=$2
shift 2

# A folder of the host at a place of the new file system. No device in it is one, no program in it gains rights, and none
# that somebody could have put there is run.
show() {
    mkdir -p "$root$3"
    mount --bind "$2" "$root$3"
    case $1 in
    ro) mount -o remount,bind,ro,nosuid,nodev "$root$3" ;;
    rw) mount -o remount,bind,nosuid,nodev,noexec "$root$3" ;;
    esac
}

# Programs and what they need. Not /run, /home, /root, /srv, /mnt or /opt: there are sockets of servers, which can be used where
# nothing can be written, and what people keep.
mount -t tmpfs -o mode=0755,nosuid,nodev,size=16m sandbox "$root"
for name in bin sbin lib lib32 lib64 libx32 usr etc nix gnu var/cache/postgresql; do
    if [ -L "/$name" ]; then
        ln -s "$(readlink "/$name")" "$root/$name"
    elif [ -d "/$name" ]; then
        show ro "/$name" "/$name"
    fi
done
while [ "$1" != -- ]; do
    show "$1" "$2" "$3"
    shift 3
done
shift

mkdir -p "$root/dev/shm" "$root/proc" "$root/tmp" "$root/var/tmp"
for name in null zero full random urandom; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
# Memory of this host, so that there is not much of it; a server shares some between its processes.
for name in dev/shm:1g tmp:64m var/tmp:64m; do
    mount -t tmpfs -o "mode=1777,nosuid,nodev,noexec,size=${name#*:}" sandbox "$root/${name%:*}"
done
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# Some programs want to know what they are called.
printf 'root:x:0:0::/:/bin/false\nsandbox:x:%s:%s::/tmp:/bin/false\n' "$user" "$user" >"$root/passwd"
mount --bind "$root/passwd" "$root/etc/passwd"
mount -o remount,bind,ro "$root/etc/passwd"
mount -o remount,ro,nosuid,nodev "$root"

# The old file system is not hidden but gone.
cd "$root"
pivot_root . .
umount -l .
cd /

# It can start no more than this many processes, and a crash leaves no file.
ulimit -c 0 -u 1024

trap 'exit 137' TERM
exec 3<&0 </dev/null
setsid setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    -- "$@" 3<&- &
program=$!
{ read -r _ || :; kill -s TERM 1; } <&3 >/dev/null 2>&1 &
exec 3<&-
status=0
wait "$program" || status=$?
exit "$status"
