//! A signed note of what a client was allowed to send to the bucket itself.
//!
//! It is given out with the URL and comes back with the completion, so that no node has to remember it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Secret;

/// What was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) id: Uuid,
    /// Milliseconds since 1970.
    pub(super) issued: u64,
    /// Milliseconds since 1970.
    pub(super) expires: u64,
    /// The token's name and prefix.
    pub(super) name: String,
    pub(super) prefix: String,
    /// A chosen key; without one it is made by the template.
    pub(super) key: Option<String>,
    pub(super) content_type: String,
    /// Exactly so many.
    pub(super) bytes: u64,
    /// In hexadecimal.
    pub(super) sha256: Option<String>,
}

/// Signs tickets and knows its own again.
pub(super) struct Stub(hmac::Key);

/// Why a ticket is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TicketError {
    Forged,
    Expired,
}

impl Stub {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()))
    }

    /// The ticket as text that can stand in a URL.
    pub(super) fn sign(&self, ticket: &Ticket) -> Result<String, serde_json::Error> {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(ticket)?);
        let signature = hmac::sign(&self.0, text.as_bytes());
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// # Errors
    /// Not signed here, or too late.
    pub(super) fn read(&self, text: &str, now: SystemTime) -> Result<Ticket, TicketError> {
        let (text, signature) = text.split_once('.').ok_or(TicketError::Forged)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TicketError::Forged)?;
        hmac::verify(&self.0, text.as_bytes(), &signature).map_err(|_| TicketError::Forged)?;
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketError::Forged)?;
        let ticket: Ticket = serde_json::from_slice(&json).map_err(|_| TicketError::Forged)?;
        if millis(now) > ticket.expires { Err(TicketError::Expired) } else { Ok(ticket) }
    }
}

impl Ticket {
    pub(super) fn issued(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.issued)
    }
}

/// Since 1970.
pub(super) fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_known_again_until_it_expires_and_no_other_is() {
        let ticket = Ticket {
            id: Uuid::new_v4(),
            issued: 1_000,
            expires: 2_000,
            name: "cms".into(),
            prefix: "cms/".into(),
            key: Some("cms/a.jpg".into()),
            content_type: "image/jpeg".into(),
            bytes: 10,
            sha256: None,
        };
        let stub = Stub::new(&"0123456789abcdef0123456789abcdef".into());
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let text = stub.sign(&ticket).unwrap();
        assert_eq!(stub.read(&text, at(2_000)), Ok(ticket.clone()));
        assert_eq!(stub.read(&text, at(2_001)), Err(TicketError::Expired));
        let other = Stub::new(&"another secret, as long as that one is".into());
        assert_eq!(other.read(&text, at(1_000)), Err(TicketError::Forged));
        let richer = Ticket { bytes: 1 << 40, ..ticket };
        let forged = other.sign(&richer).unwrap();
        let spliced = format!("{}.{}", forged.split('.').next().unwrap(), text.split('.').next_back().unwrap());
        for text in [forged.as_str(), &spliced, &text[..text.len() - 1], "", ".", "a.b"] {
            assert_eq!(stub.read(text, at(1_000)), Err(TicketError::Forged), "{text}");
        }
    }
}
