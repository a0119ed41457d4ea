//! A body into a spool: bounded, timed and hashed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use md5::{Digest, Md5};
use ring::digest;

use super::Source;
use super::error::Refusal;
use crate::origin::{Spool, Store};
use crate::support::priority;

#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) originals: Store,
    /// Between two chunks.
    pub(super) read_timeout: Duration,
    /// The whole body.
    pub(super) time: Duration,
}

/// A whole body.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) spool: Spool,
    pub(super) hashes: Hashes,
}

#[derive(Debug)]
pub(super) struct Hashes {
    pub(super) sha256: Vec<u8>,
    pub(super) md5: Vec<u8>,
}

/// A body in the making.
struct Intake {
    spool: Spool,
    sha256: digest::Context,
    md5: Md5,
}

/// Chunks are written and hashed in pieces of about this many bytes: what an upload has in memory.
const PIECE_BYTES: usize = 64 * 1024;

/// A key has at most 1024 bytes; this is room for it in JSON, and all else.
const TEXT_BYTES_MAX: usize = 16 * 1024;

impl Receiver {
    pub(super) async fn receive(&self, body: Source, bytes_max: u64) -> Result<Received, Refusal> {
        tokio::time::timeout(self.time, self.receive_all(body, bytes_max)).await.map_err(|_| Refusal::Slow)?
    }

    /// A short body, in memory.
    pub(super) async fn receive_text(&self, mut body: Source) -> Result<Vec<u8>, Refusal> {
        let mut text = Vec::new();
        while let Some(chunk) = tokio::time::timeout(self.read_timeout, body.next()).await.map_err(|_| Refusal::Slow)? {
            text.extend_from_slice(&chunk?);
            if text.len() > TEXT_BYTES_MAX {
                return Err(Refusal::TooLarge { bytes_max: TEXT_BYTES_MAX as u64 });
            }
        }
        Ok(text)
    }

    async fn receive_all(&self, mut body: Source, bytes_max: u64) -> Result<Received, Refusal> {
        let spool = self.originals.spool().await.map_err(|error| Refusal::of_store(&error))?;
        let mut intake = Intake { spool, sha256: digest::Context::new(&digest::SHA256), md5: Md5::new() };
        let mut piece = BytesMut::new();
        let mut bytes = 0_u64;
        while let Some(chunk) = tokio::time::timeout(self.read_timeout, body.next()).await.map_err(|_| Refusal::Slow)? {
            let chunk = chunk?;
            bytes += chunk.len() as u64;
            if bytes > bytes_max {
                return Err(Refusal::TooLarge { bytes_max });
            }
            piece.extend_from_slice(&chunk);
            if piece.len() >= PIECE_BYTES {
                intake = intake.take(piece.split().freeze()).await?;
            }
        }
        if bytes == 0 {
            return Err(Refusal::BadRequest("the upload has no bytes".into()));
        }
        let Intake { spool, sha256, md5 } = intake.take(piece.freeze()).await?;
        let hashes = Hashes { sha256: sha256.finish().as_ref().to_vec(), md5: md5.finalize().to_vec() };
        Ok(Received { spool, hashes })
    }
}

impl Intake {
    async fn take(mut self, piece: Bytes) -> Result<Self, Refusal> {
        let work = priority::blocking(move || {
            self.sha256.update(&piece);
            self.md5.update(&piece);
            self.spool.write(&piece).map(|()| self)
        });
        work.await.map_err(|_| Refusal::Internal)?.map_err(|error| Refusal::of_store(&error))
    }
}
