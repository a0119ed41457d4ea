//! As much of `resize` as the encoder sees.

#[derive(Debug)]
#[expect(dead_code, reason = "the reason is only shown")]
pub enum RenderError {
    Encode { reason: String },
}

pub mod decode {
    pub struct Job {
        pub deadline: Deadline,
    }

    pub struct Deadline;

    impl Deadline {
        pub fn check(&self) -> Result<(), super::RenderError> {
            Ok(())
        }
    }
}

pub mod scale {
    pub struct Pixels {
        pub width: u32,
        pub height: u32,
        pub channels: u8,
        pub data: Vec<u8>,
    }
}

#[path = "../../../src/resize/avif.rs"]
mod avif;

pub fn encode(pixels: &scale::Pixels, quality: u8) -> Vec<u8> {
    let job = decode::Job { deadline: decode::Deadline };
    avif::encode(pixels, crate::variant::Quality(quality), &job).expect("it can be encoded")
}
