# Everyday commands. `just` lists them.

default:
    @just --list

# Serve the sample pictures on http://127.0.0.1:8080
serve *arguments:
    cargo run --release -- {{arguments}}

# Run all tests that need only Rust
test *arguments:
    cargo test {{arguments}}

# Check formatting, lints and documentation
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Generate docs/CONFIG.md from config.toml and the code
reference:
    cargo run --quiet -- config --reference > docs/CONFIG.md

# Check the licenses, sources and advisories of all dependencies
deny:
    cargo deny check

# Write a software bill of materials (CycloneDX) to resized.cdx.json
sbom:
    command -v cargo-cyclonedx >/dev/null || cargo install cargo-cyclonedx --locked
    cargo cyclonedx --format json --all-features --override-filename resized.cdx --manifest-path Cargo.toml

# Run the end-to-end tests on a real S3 server (SeaweedFS)
s3:
    tests/with-seaweedfs cargo test --test e2e --locked

# Test real clients: curl, boto3, the Standard Webhooks library, and Chromium with Uppy and Dropzone
clients:
    tests/clients/run --browsers

# Test one cold variant with four processes, a thousand clients and a real S3 server
fleet:
    cargo build --release --locked
    TEST_BINARY={{justfile_directory()}}/target/release/resized tests/with-seaweedfs cargo test --test e2e --locked fleet::

# Inject faults into three processes and a real S3 server and check every response and object (ten minutes)
chaos seconds="600":
    cargo build --release --locked
    TEST_CHAOS_SECONDS={{seconds}} TEST_BINARY={{justfile_directory()}}/target/release/resized \
        tests/with-seaweedfs cargo test --test chaos --locked

# Send damaged pictures through a running server and check responses, time and memory
mutated count="100000":
    cargo build --release --locked
    TEST_MUTATED={{count}} TEST_BINARY={{justfile_directory()}}/target/release/resized cargo test --test mutated --locked -- --nocapture

# Run valid and hostile load for an hour; check responses and the growth of memory, descriptors and latencies
soak seconds="3600":
    cargo build --release --locked
    SOAK_SECONDS={{seconds}} tests/soak.py --check-growth

# Attack a server and check its limits on memory, descriptors, CPU time and waits; prints a table
bounds *arguments:
    cargo build --release --locked
    tests/with-seaweedfs tests/bounds/run {{arguments}}

# Run `resized check` and the store tests on Ceph RGW (Debian's packages)
ceph:
    tests/with-ceph tests/check-server
    tests/with-ceph cargo test --test e2e --locked --no-fail-fast -- conformance:: first_day fleet::

# Run `resized check` on s3rver (npm), a server that ignores conditional writes
s3rver:
    tests/with-s3rver tests/check-server

# Check the responses with REDbot, an HTTP conformance checker
redbot:
    tests/redbot

# Lint the files in deploy/ and .github/ and the shell scripts
deploy-lint:
    deploy/lint

# Build a release in dist/: static binaries for Linux, licenses, SBOM, checksums
release:
    deploy/release

# Test the nginx and Varnish configurations of deploy/cdn with the real program
cdn:
    cargo build --locked
    tests/cdn

# Run the main benchmarks of benches/README.md: pixels, hits, the server under wrk, uploads
bench:
    cargo bench --bench render
    cargo bench --bench hit
    benches/wrk.sh
    benches/uploads.py

# Compare cold resizes with sharp, on the pictures of a folder
bench-sharp photos:
    benches/sharp.sh {{photos}}

# Make a page of variants of a folder of pictures, for visual inspection
gallery photos="samples":
    benches/gallery.sh {{photos}}

# Run all checks that a change must pass
ci:
    .ci/run
