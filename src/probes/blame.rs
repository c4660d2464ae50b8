//! Who is to blame for an error of a socket: the node, or this machine and the network next to it.
//!
//! Only what the node itself answered, or its silence, counts against it. What is not in the table is ours: a wrong FAIL
//! could end in a repair of a healthy node, a wrong ERROR is seen by a person.

use std::io;

use rustix::io::Errno;

use crate::domain::{Finding, Observation};

/// Why a run did not get to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The node is to blame.
    Node {
        /// A finding's name.
        finding: &'static str,
        /// What was seen.
        detail: String,
    },
    /// It is not, or nobody knows.
    Ours(String),
}

impl Trouble {
    pub(super) fn node(finding: &'static str, detail: impl Into<String>) -> Self {
        Self::Node { finding, detail: detail.into() }
    }

    /// The node said nothing in time.
    pub(super) fn silence(detail: impl Into<String>) -> Self {
        Self::node("timeout", detail)
    }

    /// An error while `doing` something: `connecting`, `reading`.
    pub(super) fn of(doing: &str, error: &io::Error) -> Self {
        match error.raw_os_error().and_then(blame) {
            Some(finding) => Self::node(finding, format!("{doing}: {error}")),
            None => Self::Ours(format!("{doing}: {error}")),
        }
    }

    /// What a run that met it comes to; `asked` says what was tried.
    pub(super) fn observation(self, asked: &str) -> Observation {
        match self {
            Self::Node { finding, detail } => {
                let evidence = format!("{asked}: {detail}");
                Observation::fail(vec![Finding::new(finding, detail)], evidence)
            }
            Self::Ours(why) => Observation::error(format!("{asked}: {why}")),
        }
    }
}

/// The finding that an error number stands for; nothing where it is not the node's.
///
/// Linux tells of ICMP answers by these numbers too (`icmp_err_convert` in net/ipv4/icmp.c): host unreachable and
/// administratively prohibited are EHOSTUNREACH, port unreachable is ECONNREFUSED, network unreachable is ENETUNREACH.
fn blame(number: i32) -> Option<&'static str> {
    match Errno::from_raw_os_error(number) {
        // It answered: nothing listens there, or its firewall refuses.
        Errno::CONNREFUSED => Some("refused"),
        // It gave up in the middle. EPIPE: we wrote after its reset.
        Errno::CONNRESET | Errno::PIPE => Some("reset"),
        // The kernel's own patience was shorter than the deadline.
        Errno::TIMEDOUT => Some("timeout"),
        // Nobody answered for its address on the last wire to it (ARP, neighbour discovery), or a router there says so.
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Some("unreachable"),
        // ENETUNREACH, ENETDOWN: no route from here. EADDRNOTAVAIL, EAGAIN: no local port left. EMFILE, ENFILE, ENOBUFS, ENOMEM:
        // nothing left here. EPERM, EACCES: a firewall of this machine, or no permission. EAFNOSUPPORT, EINVAL: an
        // address that cannot be used here. ECONNABORTED, ENETRESET: this machine took the connection away.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_number_has_somebody_to_blame() {
        for (errno, expected) in [
            (Errno::CONNREFUSED, Some("refused")),
            (Errno::CONNRESET, Some("reset")),
            (Errno::PIPE, Some("reset")),
            (Errno::TIMEDOUT, Some("timeout")),
            (Errno::HOSTUNREACH, Some("unreachable")),
            (Errno::HOSTDOWN, Some("unreachable")),
            (Errno::NETUNREACH, None),
            (Errno::NETDOWN, None),
            (Errno::NETRESET, None),
            (Errno::ADDRNOTAVAIL, None),
            (Errno::ADDRINUSE, None),
            (Errno::AGAIN, None),
            (Errno::MFILE, None),
            (Errno::NFILE, None),
            (Errno::NOBUFS, None),
            (Errno::NOMEM, None),
            (Errno::PERM, None),
            (Errno::ACCESS, None),
            (Errno::AFNOSUPPORT, None),
            (Errno::PROTONOSUPPORT, None),
            (Errno::INVAL, None),
            (Errno::CONNABORTED, None),
            (Errno::NOTCONN, None),
            (Errno::MSGSIZE, None),
            (Errno::NOPROTOOPT, None),
            (Errno::OPNOTSUPP, None),
            (Errno::IO, None),
        ] {
            let trouble = Trouble::of("connecting", &errno.into());
            match (&trouble, expected) {
                (Trouble::Node { finding, .. }, Some(expected)) => assert_eq!(*finding, expected, "{errno:?}"),
                (Trouble::Ours(why), None) => assert!(why.starts_with("connecting: "), "{why}"),
                _ => panic!("{errno:?}: {trouble:?}"),
            }
        }
    }

    #[test]
    fn an_error_without_a_number_is_ours() {
        assert!(matches!(Trouble::of("reading", &io::Error::other("odd")), Trouble::Ours(_)));
    }
}
