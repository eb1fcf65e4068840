# The chores. `just ci` is what `.ci/run` runs, in this order; no step has another definition anywhere.

default: ci

ci: format lint deny test

# Formatting is as rustfmt.toml says.
format:
    cargo fmt --all --check

# No warning anywhere, tests and benchmarks included.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Licences, sources and banned crates.
deny:
    cargo deny --locked check bans licenses sources

# The README's test command.
test:
    cargo test --workspace

# Known vulnerabilities; needs the advisory database.
advisories:
    cargo deny --locked check advisories

# Every fuzz target for SECONDS each; see fuzz/README.md.
fuzz SECONDS="60":
    fuzz/run {{SECONDS}}

# The scenario tests RUNS times in a row.
soak RUNS="20":
    for run in $(seq {{RUNS}}); do cargo test -p tests || exit 1; done

# Attacks that take minutes: floods, slow strangers, thousands of connections; see docs/security.md.
abuse:
    cargo test --release -p tests --test abuse -- --ignored --test-threads=1
    cargo test --release -p tests --test agent -- --ignored
    cargo test --release -p server --lib -- --ignored
    cargo test --release -p common --test flipped_bits -- --ignored
    cargo test -p tests --test crashes --test killed_clients -- --ignored

# A hundred thousand random histories of clients, servers and supervisors; one again: `MODEL_SEED=… cargo test -p server model`.
histories:
    cargo test --release -p server --lib -- --ignored random_histories

# Speed and memory beside sh, socat and OpenSSH; see benches/README.md.
compare *ARGUMENTS:
    cargo build --release --workspace --bins
    target/release/compare {{ARGUMENTS}}

# The picture of a session in the README, and its recording; see tests/tests/picture.rs.
picture:
    TELEX_PICTURE=docs cargo test -p tests --test picture
