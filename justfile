# Everyday commands. `just` alone lists them.

default:
    @just --list

# Serve the sample pictures on http://127.0.0.1:8080
serve *arguments:
    cargo run --release -- {{arguments}}

# What the README says: every test that needs nothing but Rust
test *arguments:
    cargo test {{arguments}}

# Format, lints, documentation: what a reviewer would otherwise have to say
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# docs/CONFIG.md, made of config.toml and the code
reference:
    cargo run --quiet -- config --reference > docs/CONFIG.md

# Licences, sources and advisories of all dependencies
deny:
    cargo deny check

# What the program is made of, as CycloneDX: resized.cdx.json
sbom:
    command -v cargo-cyclonedx >/dev/null || cargo install cargo-cyclonedx --locked
    cargo cyclonedx --format json --all-features --override-filename resized.cdx --manifest-path Cargo.toml

# The tests of the stores and of the whole proxy against a real S3 server, started and stopped here
s3:
    tests/with-seaweedfs cargo test --test e2e --locked

# Real clients: curl, boto3, an API that verifies by the Standard Webhooks library, Chromium with Uppy and Dropzone
clients:
    tests/clients/run --browsers

# Four processes of the release binary and a thousand clients on one cold variant, on a real S3 server
fleet:
    cargo build --release --locked
    TEST_BINARY={{justfile_directory()}}/target/release/resized tests/with-seaweedfs cargo test --test e2e --locked fleet::

# Ten minutes of three processes of the release binary and a real S3 server, both killed again and again, in bad weather
chaos seconds="600":
    cargo build --release --locked
    TEST_CHAOS_SECONDS={{seconds}} TEST_BINARY={{justfile_directory()}}/target/release/resized \
        tests/with-seaweedfs cargo test --test chaos --locked

# So many mutated pictures through a running server: an image or a clear error each, in time and within memory
mutated count="100000":
    cargo build --release --locked
    TEST_MUTATED={{count}} TEST_BINARY={{justfile_directory()}}/target/release/resized cargo test --test mutated --locked -- --nocapture

# An hour of well-meant and hostile load at four fifths of capacity: memory, descriptors, latencies, with a plot
soak seconds="3600":
    cargo build --release --locked
    SOAK_SECONDS={{seconds}} tests/soak.py

# Ceph RGW (Debian's packages): what `resized check` says of it, and the suite of the stores
ceph:
    tests/with-ceph tests/check-server
    tests/with-ceph cargo test --test e2e --locked --no-fail-fast -- conformance:: first_day fleet::

# s3rver (npm), a server that ignores conditional writes: what `resized check` says of it
s3rver:
    tests/with-s3rver tests/check-server

# Every kind of answer as REDbot, an independent checker of HTTP, sees it
redbot:
    tests/redbot

# All that lints can say of deploy/, .github/ and the shell scripts
deploy-lint:
    deploy/lint

# What a release is made of, in dist/: static binaries for Linux, licences, SBOM, checksums
release:
    deploy/release

# nginx and Varnish as deploy/cdn has them, in front of the real program
cdn:
    cargo build --locked
    tests/cdn

# The numbers of benches/README.md: pixels, hits, and the whole server under wrk
bench:
    cargo bench --bench render
    cargo bench --bench hit
    benches/wrk.sh
    benches/uploads.py

# Cold resizes beside sharp, on the pictures of a folder of yours
bench-sharp photos:
    benches/sharp.sh {{photos}}

# A page of what is made of a folder of pictures, to be looked at
gallery photos="samples":
    benches/gallery.sh {{photos}}

# Everything that must pass before a change lands
ci:
    .ci/run
