# Sourced by tests/run and benches/run: a PostgreSQL of their own, in a temporary folder, on loopback.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi; }

install_packages() {
  command -v apt-get >/dev/null || die "missing: $*. Install them and run this again."
  say "installing $*"
  as_root apt-get update -qq || die "missing: $*. Install them as root and run this again."
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The folder with initdb and pg_ctl.
postgres_bin() {
  local candidate
  for candidate in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin; do
    [ -x "$candidate/initdb" ] && [ -x "$candidate/postgres" ] && { printf '%s' "$candidate"; return; }
  done
  return 1
}

stop_postgres() {
  "${run_as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}

# Starts a cluster with the given settings; sets postgres_url to its address without a database, and postgres_restart to
# the command that restarts it. The caller traps its exit with stop_postgres.
start_postgres() {
  command -v cargo >/dev/null || die "Rust is missing: install it by rustup, then run this again."
  command -v cc >/dev/null || install_packages build-essential
  postgres_bin >/dev/null || install_packages postgresql
  bin=$(postgres_bin) || die "PostgreSQL is missing: install the package postgresql and run this again."
  # initdb refuses root: then the cluster belongs to the user postgres.
  run_as=()
  if [ "$(id -u)" = 0 ]; then
    run_as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chown postgres "$folder"
  fi
  say "starting PostgreSQL"
  chmod 700 "$folder"
  (cd "$folder" && "${run_as[@]}" "$bin/initdb" -D "$folder/data" -U sync_health --auth=trust --encoding=UTF8 --no-sync >"$folder/initdb.log") \
    || { cat "$folder/initdb.log" >&2; die "initdb failed"; }
  local port
  for port in $(shuf -i 20000-29999 -n 20); do
    if (cd "$folder" && "${run_as[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" \
      -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c max_connections=400 $*" start >/dev/null); then
      postgres_url="postgres://sync_health@127.0.0.1:$port"
      # As after a crash: what runs is ended at once, what was committed is recovered.
      postgres_restart="cd '$folder' && ${run_as[*]} '$bin/pg_ctl' -D '$folder/data' -m immediate -w -l '$folder/log' restart"
      return
    fi
  done
  die "PostgreSQL did not start"
}
