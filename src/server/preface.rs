//! Finds out if a client without TLS speaks HTTP/2: it then sends the preface first (RFC 9113 section 3.4).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream with the bytes that were read ahead.
#[derive(Debug)]
pub(super) struct Rewound<S> {
    stream: S,
    ahead: [u8; PREFACE.len()],
    /// The part of `ahead` that has not been read yet.
    unread: std::ops::Range<usize>,
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    /// Reads from `stream` until its protocol is known.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub(super) async fn detect(mut stream: S) -> io::Result<(Protocol, Self)> {
        let mut ahead = [0; PREFACE.len()];
        let mut length = 0;
        let protocol = loop {
            let read = stream.read(&mut ahead[length..]).await?;
            length += read;
            if read == 0 || ahead[..length] != PREFACE[..length] {
                break Protocol::Http1;
            }
            if length == PREFACE.len() {
                break Protocol::Http2;
            }
        };
        Ok((protocol, Self { stream, ahead, unread: 0..length }))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buf);
        }
        let end = self.unread.end.min(self.unread.start + buf.remaining());
        buf.put_slice(&self.ahead[self.unread.start..end]);
        self.unread.start = end;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_select_the_protocol_however_they_are_split() {
        let http2 = [&PREFACE[..], b"more"].concat();
        let table = [
            (&http2[..], Protocol::Http2),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Protocol::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", Protocol::Http1),
            (b"PRI *", Protocol::Http1),
            (b"", Protocol::Http1),
        ];
        for (bytes, expected) in table {
            for size in 1..=bytes.len().max(1) {
                let (mut client, server) = duplex(size);
                let send = async {
                    client.write_all(bytes).await.unwrap();
                    drop(client);
                };
                let receive = async {
                    let (protocol, mut stream) = Rewound::detect(server).await.unwrap();
                    let mut read = Vec::new();
                    stream.read_to_end(&mut read).await.unwrap();
                    (protocol, read)
                };
                let ((), (protocol, read)) = tokio::join!(send, receive);
                assert_eq!((protocol, &read[..]), (expected, bytes), "in pieces of {size}");
            }
        }
    }
}
