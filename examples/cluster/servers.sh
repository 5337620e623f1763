# Private NATS and MariaDB servers on these ports of the loopback interface, with their files in a temporary
# directory. They end when standard input ends, so that nothing is left behind however the parent process
# ends.
#
#   sh servers.sh NATS_PORT MARIADB_PORT

# Ctrl-C is handled by the parent process.
trap '' HUP INT TERM
PATH=$PATH:/usr/local/sbin:/usr/sbin
for program in nats-server mariadb-install-db mariadbd; do
    if ! command -v "$program" >/dev/null; then
        echo "$program is not installed: apt-get install nats-server mariadb-server" >&2
        exit 69
    fi
done
place=$(mktemp -d) || exit 73
exec 3<&0

# Exits with the last lines of the log of the program that failed.
failed() {
    echo "$1 has failed:" >&2
    tail -n 5 "$place/$1.log" >&2
    kill -9 "$nats" 2>/dev/null
    rm -rf "$place"
    exit 69
}

nats-server --jetstream --addr 127.0.0.1 --port "$1" --store_dir "$place/nats" \
    >"$place/nats-server.log" 2>&1 &
nats=$!

cat >"$place/init.sql" <<'SQL'
CREATE USER 'cluster'@'%' IDENTIFIED BY 'cluster';
CREATE DATABASE cluster;
GRANT ALL ON cluster.* TO 'cluster'@'%';
SQL
# Only root may set the user, and has to.
user=
if [ "$(id -u)" = 0 ]; then user=--user=root; fi
mariadb-install-db --no-defaults $user --datadir="$place/data" --skip-test-db \
    --auth-root-authentication-method=normal >"$place/mariadb-install-db.log" 2>&1 </dev/null ||
    failed mariadb-install-db
kill -0 "$nats" 2>/dev/null || failed nats-server
mariadbd --no-defaults $user --datadir="$place/data" --bind-address=127.0.0.1 --port="$2" \
    --socket="$place/socket" --pid-file="$place/pid" --init-file="$place/init.sql" \
    --skip-name-resolve --skip-log-bin --innodb-buffer-pool-size=64M >"$place/mariadbd.log" 2>&1 &
mariadb=$!

{
    cat >/dev/null
    # Where it has ended by itself, the directory is gone.
    if [ -d "$place" ]; then
        : >"$place/over"
        kill -9 "$mariadb"
    fi
} <&3 &
wait "$mariadb" 2>/dev/null
[ -e "$place/over" ] || failed mariadbd
kill -9 "$nats"
wait "$nats" 2>/dev/null
rm -rf "$place"
