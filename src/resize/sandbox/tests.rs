//! Tests of untrusted replies and of the confinement of the child process. tests/avif.rs tests decoding, which needs
//! the real program.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use pixels::{ChromaSubsampling, Cicp, PixelLayout, PixelShape, SandboxFormat, YuvSamples};

use super::confine::confine;
use super::*;

const GRAY: YuvShape = YuvShape { width: 4, height: 2, depth: 8, sampling: ChromaSubsampling::Cs400 };

fn picture() -> Reply {
    let shape = YuvShape { width: 3, height: 70_000, depth: 10, sampling: ChromaSubsampling::Cs422 };
    let cicp = Cicp { primaries: 12, transfer: 13, matrix: 6, full_range: true };
    Reply::Image {
        shape: ImageShape::Yuv(shape),
        cicp,
        profile_bytes: 0,
        cpu_time: Duration::from_nanos(1 << 40),
        duration_micros: 40_000,
    }
}

fn pixels(layout: PixelLayout, profile_bytes: u32) -> Reply {
    let shape = ImageShape::Pixels(PixelShape { width: 4, height: 2, layout });
    Reply::Image { shape, cicp: Cicp::UNSPECIFIED, profile_bytes, cpu_time: Duration::ZERO, duration_micros: 0 }
}

fn end() -> Reply {
    Reply::End { cpu_time: Duration::from_nanos(1 << 40) }
}

fn encoded(bytes: u32) -> Reply {
    Reply::Encoded { bytes, cpu_time: Duration::from_nanos(1 << 40) }
}

#[test]
fn messages_survive_a_round_trip() {
    let long = "a".repeat(1000);
    let texts = [Reply::Ready, Reply::Unconfined("no".into()), Reply::Failed("it is damaged".into())];
    let images = PixelLayout::ALL.map(|layout| pixels(layout, 4 << 20));
    for reply in texts.into_iter().chain(images).chain([picture(), encoded(7), end()]) {
        let bytes = reply.to_bytes();
        let mut rest = &bytes[..];
        assert_eq!(Reply::read(&mut rest).unwrap(), reply);
        assert!(rest.is_empty());
    }
    let Reply::Failed(text) = Reply::read(&mut &Reply::Failed(long).to_bytes()[..]).unwrap() else { panic!("no text") };
    assert_eq!(text, "a".repeat(200));
    let sampling = ChromaSubsampling::Cs420;
    let encode = Request::Encode { shape: YuvShape { width: 70_001, height: 3, depth: 10, sampling }, quantizer: 255 };
    let shape = ImageShape::Yuv(YuvShape { width: 1 << 20, height: 3, depth: 12, sampling });
    let decode = SandboxFormat::ALL.map(|format| Request::Decode { format, shape, bytes: 1 << 31 });
    let animate = Request::Animate { format: SandboxFormat::JpegXl, shape, bytes: 7 };
    let sanitize = Request::Sanitize { bytes: 1 << 31 };
    for request in decode.into_iter().chain([encode, animate, Request::NextFrame, sanitize]) {
        assert_eq!(Request::read(&mut &request.to_bytes()[..]).unwrap(), Some(request));
    }
    assert_eq!(Request::read(&mut &b""[..]).unwrap(), None);
}

#[test]
fn planes_survive_a_round_trip_and_too_large_samples_are_reduced() {
    let shape = YuvShape { width: 3, height: 3, depth: 10, sampling: ChromaSubsampling::Cs420 };
    let planes = vec![YuvSamples::U16(vec![1023; 9]), YuvSamples::U16(vec![1; 4]), YuvSamples::U16(vec![u16::MAX; 4])];
    let mut bytes = Vec::new();
    write_planes(&mut bytes, &planes).unwrap();
    let read = read_planes(&mut &bytes[..], shape).unwrap();
    assert_eq!(read[..2], planes[..2]);
    assert_eq!(read[2], YuvSamples::U16(vec![1023; 4]));
    assert!(read_planes(&mut &bytes[1..], shape).is_err());
    let gray = [YuvSamples::U8((0..8).collect())];
    let mut bytes = Vec::new();
    write_planes(&mut bytes, &gray).unwrap();
    assert_eq!(read_planes(&mut &bytes[..], GRAY).unwrap(), gray);
}

#[test]
fn invalid_messages_are_errors_and_texts_are_made_printable() {
    let whole = picture().to_bytes();
    for end in 0..whole.len() {
        assert!(Reply::read(&mut &whole[..end]).is_err(), "{end}");
    }
    // Kind, samples, depth, length of the profile.
    for (at, values) in [(0, &[6, 255][..]), (2, &[4, 5, 0x80, 0x85, 255]), (3, &[0, 7, 9, 11, 16]), (15, &[1, 255])] {
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
    assert!(Reply::read(&mut &bytes[..]).is_err(), "the text is shorter than its stated length");
}

#[test]
fn decoder_is_unavailable_if_no_program_is_set() {
    let error = ProcessSandbox.start(SandboxTask::Decode, 1 << 20, Duration::from_secs(1)).err().unwrap();
    assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
}

/// Creates a program in `folder` that sends `reply` and then runs the shell command `more`.
fn fake_decoder(folder: &Path, reply: &[u8], more: &str) -> PathBuf {
    let (program, reply_file) = (folder.join("fake"), folder.join("reply"));
    std::fs::write(&reply_file, reply).unwrap();
    let script = format!("#!/bin/sh\n/bin/cat '{}'\n{more}\n", reply_file.display());
    // Another process writes the file: a process forked by a concurrent test could inherit an open descriptor of it,
    // and a file that is open for writing cannot be executed.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "cat > \"$0\" && chmod +x \"$0\""]).arg(&program);
    let mut writer = shell.stdin(Stdio::piped()).spawn().unwrap();
    writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    program
}

/// The shell command of a fake process that waits for its request. Without it, the process may end before the request is
/// sent, which is an error.
const READ_REQUEST: &str = "/bin/cat >/dev/null";

/// Encodes with a fake process that sends these replies and then runs the shell command `more`.
fn encode_with(replies: &[&[u8]], more: &str) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
    let folder = tempfile::tempdir().unwrap();
    let program = fake_decoder(folder.path(), &replies.concat(), more);
    let time = Duration::from_secs(20);
    let mut process = SandboxProcess::start(&program, SandboxTask::Encode, 0, time, Duration::ZERO)?;
    process.encode(&Av1Frame { shape: GRAY, planes: vec![YuvSamples::U8(vec![0; 8])], quantizer: 0 })
}

#[test]
fn a_process_that_is_not_confined_encodes_but_does_not_decode() {
    let unconfined = Reply::Unconfined("no seccomp".into()).to_bytes();
    let made = encode_with(&[&unconfined, &encoded(3).to_bytes(), b"AV1"], READ_REQUEST).unwrap();
    assert_eq!(made.value, b"AV1");
    let error = decode_with(&[&unconfined], "", Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, SandboxError::Unconfined { .. }), "{error}");
}

#[test]
fn impossible_replies_to_an_encode_request_are_errors() {
    let ready = Reply::Ready.to_bytes();
    for reply in [encoded(1 << 30).to_bytes(), encoded(4).to_bytes(), ready.clone(), picture().to_bytes()] {
        let error = encode_with(&[&ready, &reply, b"AV1"], "").unwrap_err();
        assert!(matches!(error, SandboxError::Failed { .. }), "{error}");
    }
}

/// Decodes gray planes with a fake decoder that sends these replies.
fn decode_with(replies: &[&[u8]], more: &str, cpu_time: Duration) -> Result<SandboxOutput<SandboxImage>, SandboxError> {
    decode_shape(ImageShape::Yuv(GRAY), replies, more, cpu_time)
}

fn decode_shape(
    shape: ImageShape,
    replies: &[&[u8]],
    more: &str,
    cpu_time: Duration,
) -> Result<SandboxOutput<SandboxImage>, SandboxError> {
    let folder = tempfile::tempdir().unwrap();
    let program = fake_decoder(folder.path(), &replies.concat(), more);
    let mut decoder = SandboxProcess::start(&program, SandboxTask::Decode, 0, cpu_time, Duration::ZERO)?;
    decoder.decode(&DecodeRequest { format: SandboxFormat::Av1, bytes: b"AV1", shape })
}

#[test]
fn invalid_replies_are_errors() {
    let time = Duration::from_secs(20);
    let ready = Reply::Ready.to_bytes();
    let with_width = |width| {
        let shape = ImageShape::Yuv(YuvShape { width, height: 2, depth: 8, sampling: ChromaSubsampling::Cs400 });
        let (cpu_time, duration_micros) = (Duration::ZERO, 0);
        Reply::Image { shape, cicp: Cicp::UNSPECIFIED, profile_bytes: 0, cpu_time, duration_micros }.to_bytes()
    };
    let made = decode_with(&[&ready, &with_width(4), b"12345678"], READ_REQUEST, time).unwrap();
    let SandboxImage::Yuv(image) = made.value else { panic!("pixels") };
    assert_eq!(image.planes, [YuvSamples::U8(b"12345678".to_vec())]);
    for absent in [&b""[..], &[9; 36], &with_width(4)] {
        let error = decode_with(&[absent], "", time).unwrap_err();
        assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
    }
    let (huge, gray) = (with_width(u32::MAX), pixels(PixelLayout::Gray, 0).to_bytes());
    let invalid: [&[&[u8]]; 6] =
        [&[], &[&ready], &[&with_width(5)], &[&huge], &[&gray, b"12345678"], &[&with_width(4), b"1234567"]];
    for replies in invalid {
        let error = decode_with(&[&[&ready[..]], replies].concat(), "", time).unwrap_err();
        assert!(matches!(error, SandboxError::Failed { .. }), "{replies:?}: {error}");
    }
}

#[test]
fn pixels_have_the_requested_layout_and_a_profile_of_limited_length() {
    let (time, ready) = (Duration::from_secs(20), Reply::Ready.to_bytes());
    let shape = PixelShape { width: 4, height: 2, layout: PixelLayout::GrayAlpha };
    let decode = |replies: &[&[u8]], more| decode_shape(ImageShape::Pixels(shape), replies, more, time);
    let (head, data) = (pixels(PixelLayout::GrayAlpha, 3).to_bytes(), b"0123456789ABCDEF");
    let made = decode(&[&ready, &head, b"ICC", data], READ_REQUEST).unwrap();
    assert_eq!(
        made.value,
        SandboxImage::Pixels(PixelImage { shape, profile: Some(b"ICC".to_vec()), data: data.to_vec() })
    );
    let too_long = pixels(PixelLayout::GrayAlpha, (4 << 20) + 1).to_bytes();
    for head in [too_long, pixels(PixelLayout::Rgb, 3).to_bytes(), picture().to_bytes()] {
        let error = decode(&[&ready, &head, b"ICC", data], "").unwrap_err();
        assert!(matches!(error, SandboxError::Failed { .. }), "{error}");
    }
}

#[test]
fn frames_of_an_animation_have_the_requested_shape_and_end() {
    let (ready, head) = (Reply::Ready.to_bytes(), pixels(PixelLayout::Gray, 0).to_bytes());
    let shape = ImageShape::Pixels(PixelShape { width: 4, height: 2, layout: PixelLayout::Gray });
    let request = DecodeRequest { format: SandboxFormat::JpegXl, bytes: b"JXL", shape };
    let start = |replies: &[&[u8]]| {
        let folder = tempfile::tempdir().unwrap();
        let program = fake_decoder(folder.path(), &replies.concat(), READ_REQUEST);
        SandboxProcess::start(&program, SandboxTask::Decode, 0, Duration::from_secs(20), Duration::ZERO).unwrap()
    };
    let mut process = start(&[&ready, &head, b"12345678", &head, b"abcdefgh", &end().to_bytes()]);
    assert!(process.next_frame().is_err(), "nothing was started");
    for expected in [&b"12345678"[..], b"abcdefgh"] {
        let made = if expected[0] == b'1' { process.start_animation(&request) } else { process.next_frame() };
        let SandboxImage::Pixels(image) = made.unwrap().value.unwrap().image else { panic!("planes") };
        assert_eq!(image.data, expected);
    }
    assert_eq!(process.next_frame().unwrap().value, None);
    let mut process = start(&[&ready, &head, b"12345678", &pixels(PixelLayout::Rgb, 0).to_bytes(), &[0; 24]]);
    process.start_animation(&request).unwrap();
    assert!(matches!(process.next_frame(), Err(SandboxError::Failed { .. })));
    // An image that was requested alone has no end.
    assert!(matches!(start(&[&ready, &end().to_bytes()]).decode(&request), Err(SandboxError::Failed { .. })));
}

#[test]
fn silent_decoder_times_out() {
    let ready = Reply::Ready.to_bytes();
    let error = decode_with(&[&ready], "exec /bin/sleep 600", Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, SandboxError::TimedOut), "{error}");
    let error = decode_with(&[], "exec /bin/sleep 600", Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
}

/// Runs the test `name` in a child process, in which [`is_child`] returns true, and returns its exit status.
#[cfg(target_os = "linux")]
fn run_in_child(name: &str) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", &format!("resize::sandbox::tests::{name}"), "--nocapture"]).env_clear().env(IS_CHILD, "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[cfg(target_os = "linux")]
const IS_CHILD: &str = "TEST_IS_CHILD";

#[cfg(target_os = "linux")]
fn is_child() -> bool {
    std::env::var_os(IS_CHILD).is_some()
}

#[cfg(target_os = "linux")]
const LIMITS: SandboxLimits = SandboxLimits { memory: 64 << 20, seconds: 5, task: SandboxTask::Decode };

/// Checks that a confined process is killed when it does `action`.
#[cfg(target_os = "linux")]
fn is_killed_for(name: &str, action: impl FnOnce()) {
    if is_child() {
        confine(LIMITS).unwrap();
        action();
        return;
    }
    assert_eq!(run_in_child(name).signal(), Some(Signal::SYS.as_raw()));
}

#[cfg(target_os = "linux")]
#[test]
fn confined_process_cannot_open_files() {
    is_killed_for("confined_process_cannot_open_files", || drop(File::open("/dev/null")));
}

#[cfg(target_os = "linux")]
#[test]
fn confined_process_cannot_open_sockets() {
    is_killed_for("confined_process_cannot_open_sockets", || drop(std::net::TcpListener::bind("127.0.0.1:0")));
}

#[cfg(target_os = "linux")]
#[test]
fn confined_process_cannot_start_processes() {
    is_killed_for("confined_process_cannot_start_processes", || drop(Command::new("/bin/true").spawn()));
}

#[cfg(target_os = "linux")]
#[test]
fn confined_process_cannot_signal_other_processes() {
    let parent = rustix::process::getppid();
    is_killed_for("confined_process_cannot_signal_other_processes", || {
        let _ = rustix::process::kill_process(parent.unwrap(), Signal::CONT);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn confined_process_cannot_write_to_inherited_files() {
    let mut other = tempfile::tempfile().unwrap();
    is_killed_for("confined_process_cannot_write_to_inherited_files", || drop(other.write(b"x")));
}

#[cfg(target_os = "linux")]
#[test]
fn confined_process_is_limited_to_its_memory() {
    if is_child() {
        confine(LIMITS).unwrap();
        let filled = |bytes: usize| std::hint::black_box(vec![1_u8; bytes]).len();
        assert_eq!(filled(40 << 20), 40 << 20);
        filled(80 << 20);
        return;
    }
    let status = run_in_child("confined_process_is_limited_to_its_memory");
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
}

#[cfg(target_os = "linux")]
#[test]
fn confined_process_is_limited_to_its_cpu_time() {
    if is_child() {
        confine(SandboxLimits { seconds: 1, ..LIMITS }).unwrap();
        loop {
            std::hint::spin_loop();
        }
    }
    let status = run_in_child("confined_process_is_limited_to_its_cpu_time");
    assert_eq!(status.signal(), Some(Signal::XCPU.as_raw()), "{status}");
}
