//! What the other side may say, and what a confined process can do. That it decodes is for tests/avif.rs, which has a program to
//! start.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::super::coded::{Cicp, Sampling};
use super::confine::confine;
use super::message::{Ask, Reply, Shape};
use super::*;

fn picture() -> Reply {
    let shape = Shape { width: 3, height: 70_000, depth: 10, sampling: Sampling::Narrowed };
    let colour = Cicp { primaries: 12, transfer: 13, matrix: 6, full_range: true };
    Reply::Picture { shape, colour, worked: Duration::from_nanos(1 << 40) }
}

#[test]
fn what_is_said_is_what_is_heard() {
    let long = "a".repeat(1000);
    for reply in [Reply::Ready, Reply::Unconfined("no".into()), Reply::Failed("it is damaged".into()), picture()] {
        let bytes = reply.to_bytes();
        let mut rest = &bytes[..];
        assert_eq!(Reply::read(&mut rest).unwrap(), reply);
        assert!(rest.is_empty());
    }
    let Reply::Failed(text) = Reply::read(&mut &Reply::Failed(long).to_bytes()[..]).unwrap() else { panic!("no text") };
    assert_eq!(text, "a".repeat(200));
    let ask = Ask { bytes: 7, pixels_max: 1 << 31 };
    let read = Ask::read(&mut &ask.to_bytes()[..]).unwrap().unwrap();
    assert_eq!((read.bytes, read.pixels_max), (7, 1 << 31));
    assert!(Ask::read(&mut &b""[..]).unwrap().is_none());
}

#[test]
fn what_no_decoder_says_is_an_error_and_no_text_is_more_than_printable() {
    let whole = picture().to_bytes();
    for end in 0..whole.len() {
        assert!(Reply::read(&mut &whole[..end]).is_err(), "{end}");
    }
    // Kind, depth, sampling, width, height.
    for (at, values) in [(0, &[4, 255][..]), (2, &[0, 7, 9, 11, 16]), (3, &[4, 255])] {
        for value in values {
            let mut bytes = whole.clone();
            bytes[at] = *value;
            assert!(Reply::read(&mut &bytes[..]).is_err(), "{value} at {at}");
        }
    }
    for side in [4, 8] {
        let mut bytes = whole.clone();
        bytes[side..side + 4].fill(0);
        assert!(Reply::read(&mut &bytes[..]).is_err());
    }
    let mut bytes = Reply::Failed("\x1b[2Jx\r\ny".into()).to_bytes();
    assert_eq!(Reply::read(&mut &bytes[..]).unwrap(), Reply::Failed("?[2Jx??y".into()));
    bytes[1] = 255;
    assert!(Reply::read(&mut &bytes[..]).is_err(), "it is shorter than it says");
}

#[test]
fn a_program_that_was_not_named_is_not_started() {
    let error = Decoder::start(1 << 20, Deadline::after(Duration::from_secs(1))).unwrap_err();
    assert!(matches!(error, RenderError::NoDecoder { .. }), "{error}");
}

/// A program in `folder` that says `answer` to whatever it is told, and then does `more`.
fn liar(folder: &Path, answer: &[u8], more: &str) -> PathBuf {
    let (program, said) = (folder.join("liar"), folder.join("said"));
    std::fs::write(&said, answer).unwrap();
    let script = format!("#!/bin/sh\n/bin/cat '{}'\n{more}\n", said.display());
    // Written by another process: one that is just being started may still have open what this one writes, and such a file
    // cannot be run.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "cat > \"$0\" && chmod +x \"$0\""]).arg(&program);
    let mut writer = shell.stdin(Stdio::piped()).spawn().unwrap();
    writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    program
}

/// What is made of a process that says this.
fn believed(answers: &[&[u8]], more: &str, time: Duration) -> Result<Coded, RenderError> {
    let folder = tempfile::tempdir().unwrap();
    let program = liar(folder.path(), &answers.concat(), more);
    let mut decoder = Decoder::start_program(&program, 0, Deadline::after(time), Duration::ZERO)?;
    let promised = Shape { width: 4, height: 2, depth: 8, sampling: Sampling::Grey };
    decoder.decode(b"AV1", promised)
}

#[test]
fn a_process_that_lies_is_not_believed() {
    let time = Duration::from_secs(20);
    let ready = Reply::Ready.to_bytes();
    let of_width = |width| {
        let shape = Shape { width, height: 2, depth: 8, sampling: Sampling::Grey };
        Reply::Picture { shape, colour: Cicp::UNSPECIFIED, worked: Duration::ZERO }.to_bytes()
    };
    let made = believed(&[&ready, &of_width(4), b"12345678"], "", time).unwrap();
    assert_eq!(made.planes, [Samples::Eight(b"12345678".to_vec())]);
    for absent in [&b""[..], &[9; 28], &of_width(4)] {
        let error = believed(&[absent], "", time).unwrap_err();
        assert!(matches!(error, RenderError::NoDecoder { .. }), "{error}");
    }
    let huge = of_width(u32::MAX);
    let lies: [&[&[u8]]; 5] = [&[], &[&ready], &[&of_width(5)], &[&huge], &[&of_width(4), b"1234567"]];
    for lie in lies {
        let error = believed(&[&[&ready[..]], lie].concat(), "", time).unwrap_err();
        assert!(matches!(error, RenderError::Damaged { .. }), "{lie:?}: {error}");
    }
}

#[test]
fn a_process_that_says_nothing_is_waited_for_until_its_time_is_over() {
    let ready = Reply::Ready.to_bytes();
    let error = believed(&[&ready], "exec /bin/sleep 600", Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, RenderError::TooSlow { .. }), "{error}");
    let error = believed(&[], "exec /bin/sleep 600", Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, RenderError::NoDecoder { .. }), "{error}");
}

/// Runs the test `name` in a process of its own, where `inside` says that it is there, and gives its end.
#[cfg(target_os = "linux")]
fn alone(name: &str) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", &format!("resize::decoder::tests::{name}"), "--nocapture"]).env_clear().env(INSIDE, "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[cfg(target_os = "linux")]
const INSIDE: &str = "TEST_INSIDE";

#[cfg(target_os = "linux")]
fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

#[cfg(target_os = "linux")]
const ALLOWANCE: Allowance = Allowance { memory: 64 << 20, seconds: 5 };

/// What is done in a confined process, and that it is killed for it.
#[cfg(target_os = "linux")]
fn is_killed_for(name: &str, deed: impl FnOnce()) {
    if inside() {
        confine(ALLOWANCE).unwrap();
        deed();
        return;
    }
    assert_eq!(alone(name).signal(), Some(Signal::SYS.as_raw()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_confined_process_opens_no_file() {
    is_killed_for("a_confined_process_opens_no_file", || drop(File::open("/dev/null")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_confined_process_has_no_socket() {
    is_killed_for("a_confined_process_has_no_socket", || drop(std::net::TcpListener::bind("127.0.0.1:0")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_confined_process_starts_no_other() {
    is_killed_for("a_confined_process_starts_no_other", || drop(Command::new("/bin/true").spawn()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_confined_process_kills_nobody() {
    let parent = rustix::process::getppid();
    is_killed_for("a_confined_process_kills_nobody", || {
        let _ = rustix::process::kill_process(parent.unwrap(), Signal::CONT);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_confined_process_writes_to_nothing_that_was_left_open() {
    let mut other = tempfile::tempfile().unwrap();
    is_killed_for("a_confined_process_writes_to_nothing_that_was_left_open", || drop(other.write(b"x")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_confined_process_has_the_memory_that_it_was_promised_and_no_more() {
    if inside() {
        confine(ALLOWANCE).unwrap();
        let filled = |bytes: usize| std::hint::black_box(vec![1_u8; bytes]).len();
        assert_eq!(filled(40 << 20), 40 << 20);
        filled(80 << 20);
        return;
    }
    let status = alone("a_confined_process_has_the_memory_that_it_was_promised_and_no_more");
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_confined_process_ends_when_its_processor_time_is_over() {
    if inside() {
        confine(Allowance { seconds: 1, ..ALLOWANCE }).unwrap();
        loop {
            std::hint::spin_loop();
        }
    }
    let status = alone("a_confined_process_ends_when_its_processor_time_is_over");
    assert_eq!(status.signal(), Some(Signal::XCPU.as_raw()), "{status}");
}
