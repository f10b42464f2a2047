#!/usr/bin/env bash
# Installs the peers of the benchmark into a cache folder.
#   install.sh CACHE_DIR [node|rust]
# Does nothing when what is there is current. Needs a network otherwise; without one it
# says so and ends with 1, and the benchmark prints "peer not available".
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${1:?usage: install.sh CACHE_DIR [node|rust]}
only=${2:-}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

fail() {
    echo "peers: $1" >&2
    exit 1
}

# The stamp names everything that an installation depends on.
stamp() { (cd "$here/$1" && find . -type f -not -path './target/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum); }
current() { [ -f "$cache/$1.stamp" ] && [ "$(cat "$cache/$1.stamp")" = "$(stamp "$1")" ]; }

install_node() {
    command -v npm >/dev/null || fail "npm is not installed, so BullMQ, graphile-worker and pg-boss are not available (Node 20 or later brings it)"
    mkdir -p "$cache/node"
    cp "$here"/node/* "$cache/node/"
    # Not `npm ci`: it refuses a lock that leaves out optional packages of other platforms.
    # Retries would only delay the news that there is no network.
    (cd "$cache/node" && npm install --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=60000 >"$cache/node.log" 2>&1) ||
        fail "cannot install the Node peers, is there a network? ($(grep -m1 -v '^$' "$cache/node.log" || echo 'npm install failed'); all of it: $cache/node.log)"
}

install_rust() {
    command -v cargo >/dev/null || fail "cargo is not installed, so awa and apalis-redis are not available"
    cargo build --release --locked --quiet --manifest-path "$here/rust/Cargo.toml" --target-dir "$cache/rust" >"$cache/rust.log" 2>&1 ||
        fail "cannot build the Rust peers, is there a network? ($(grep -m1 '^error' "$cache/rust.log" || echo 'cargo build failed'); all of it: $cache/rust.log)"
}

for part in node rust; do
    [ -z "$only" ] || [ "$only" = "$part" ] || continue
    current "$part" && continue
    rm -f "$cache/$part.stamp"
    "install_$part"
    stamp "$part" >"$cache/$part.stamp"
done
