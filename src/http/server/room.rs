//! How many requests are under way at once, by class, so that no class starves another.
//!
//! A storm of deliveries is refused above its own limit and takes nothing from those who read, approve or look whether we
//! are well. Requests over socket files have a room of their own: they get through whatever comes over the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::Request;

use crate::config::ServerLimits;
use crate::http::error::{Fault, Kind};

/// Which requests share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Deliveries of alerts.
    Ingest,
    /// What only reads.
    Read,
    /// What changes something.
    Command,
    /// Whether we are well.
    Health,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Read, Self::Command, Self::Health];

    /// As metrics and refusals name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Command => "command",
            Self::Health => "health",
        }
    }

    const fn limit(self, limits: &ServerLimits) -> u32 {
        match self {
            Self::Ingest => limits.ingest,
            Self::Read => limits.reads,
            Self::Command => limits.commands,
            Self::Health => limits.health,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Ingest => 0,
            Self::Read => 1,
            Self::Command => 2,
            Self::Health => 3,
        }
    }
}

/// What is under way over one kind of listener; every request of it carries this.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<[AtomicU32; 4]>);

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Option<(Room, Class)>);

impl Room {
    /// Lets a request in, unless as many of its class are under way as may be. One that came over no listener is not
    /// counted.
    pub(crate) fn enter(request: &Request, class: Class, limits: &ServerLimits) -> Result<UnderWay, Fault> {
        let Some(room) = request.extensions().get::<Self>() else { return Ok(UnderWay(None)) };
        let limit = class.limit(limits);
        let add = |count: u32| (count < limit).then_some(count + 1);
        match room.0[class.index()].fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(UnderWay(Some((room.clone(), class)))),
            Err(_) => {
                let class = class.as_str();
                let why = format!("{limit} requests ({class}) are under way, which is the limit; try again soon");
                Err(Fault::new(Kind::Unavailable, why))
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some((room, class)) = &self.0 {
            room.0[class.index()].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_full_class_refuses_its_own_and_nobody_else() {
        let limits = ServerLimits { ingest: 2, ..ServerLimits::default() };
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Room::default());
        let ingest = || Room::enter(&request, Class::Ingest, &limits);
        let (first, _second) = (ingest().unwrap(), ingest().unwrap());
        assert_eq!(ingest().unwrap_err().kind, Kind::Unavailable);
        for class in [Class::Read, Class::Command, Class::Health] {
            assert!(Room::enter(&request, class, &limits).is_ok());
        }
        drop(first);
        assert!(ingest().is_ok());
    }
}
