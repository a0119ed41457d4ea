//! The errors of building the server.

use std::io;
use std::net::SocketAddr;

use super::descriptors::DescriptorError;
use crate::config::MemoryError;
use crate::observability::traces::CollectorError;
use crate::origin::StoreOpenError;
use crate::outbox::NotifierError;
use crate::server::TlsError;
use crate::upload::TemplateError;
use crate::variant::GrammarError;

/// The server cannot be built. The message names the key of the setting.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Descriptors(#[from] DescriptorError),
    #[error("{key}: cannot open the store")]
    Store { key: &'static str, source: StoreOpenError },
    #[error(transparent)]
    Notifier(#[from] NotifierError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Traces(#[from] CollectorError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot start the resize threads (work.threads)")]
    Threads(#[source] io::Error),
    #[error("cannot listen on {address} ({key})")]
    Listen { key: &'static str, address: SocketAddr, source: io::Error },
}
