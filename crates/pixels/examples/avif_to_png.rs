//! Decodes an AVIF to a PNG of the same size: `avif_to_png IN.avif OUT.png`.
//!
//! The sandbox of this example has no isolation: it decodes AV1 in the same process, which is acceptable only for trusted
//! files. For untrusted files, implement [`Sandbox`] with a child process that the kernel confines, as the proxy does.

use std::error::Error;
use std::time::{Duration, Instant};

use pixels::{
    Av1Frame, DecodeRequest, Encoding, Geometry, Header, Limits, OutputSpec, RenderOptions, Sandbox, SandboxError,
    SandboxFrame, SandboxImage, SandboxOutput, SandboxTask, SandboxWorker, decoders, render,
};

/// Decodes in this process, without any isolation.
struct InProcess;

impl Sandbox for InProcess {
    fn start(
        &self,
        _task: SandboxTask,
        _memory_bytes: u64,
        _cpu_time: Duration,
    ) -> Result<Box<dyn SandboxWorker>, SandboxError> {
        Ok(Box::new(InProcessDecoder { started: Instant::now() }))
    }
}

struct InProcessDecoder {
    started: Instant,
}

impl SandboxWorker for InProcessDecoder {
    fn decode(&mut self, request: &DecodeRequest<'_>) -> Result<SandboxOutput<SandboxImage>, SandboxError> {
        let decoded = decoders::decode(request).map_err(|reason| SandboxError::Failed { reason })?;
        Ok(SandboxOutput { value: decoded.into_image(), cpu_time: self.started.elapsed() })
    }

    fn sanitize(&mut self, _svg: &[u8]) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        Err(SandboxError::Failed { reason: "this example reads no SVG".to_owned() })
    }

    fn start_animation(
        &mut self,
        _request: &DecodeRequest<'_>,
    ) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError> {
        Err(SandboxError::Failed { reason: "a PNG of an animation needs its frames".to_owned() })
    }

    fn next_frame(&mut self) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError> {
        Err(SandboxError::Failed { reason: "no animation was started".to_owned() })
    }

    fn encode(&mut self, _frame: &Av1Frame) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        Err(SandboxError::Failed { reason: "this example encodes no AVIF".to_owned() })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: avif_to_png IN.avif OUT.png".into());
    };
    let limits = Limits::default();
    let original = std::fs::read(input)?;
    let header = Header::read(&original, &limits)?;
    let (width, height) = header.oriented_size();
    let geometry = Geometry::Fit { width: width.try_into().ok(), height: height.try_into().ok() };
    let options = RenderOptions::new(&limits).with_sandbox(&InProcess);
    let png = render(&original, &header, OutputSpec { geometry, encoding: Encoding::Png }, &options)?;
    std::fs::write(output, png)?;
    Ok(())
}
