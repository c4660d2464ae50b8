//! A socket for echo requests of one family: raw where the process may, else a datagram socket.
//!
//! Raw comes first because only there are error messages of routers heard: a datagram socket hands them over by
//! `IP_RECVERR` alone, for which there is no safe interface. What a raw socket does not need is filtered by the kernel.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::Ipv4PathMtuDiscovery;
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use socket2::{SockFilter, SockRef};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::packet::Family;

/// How much may wait for us in the kernel, in bytes; without CAP_NET_ADMIN no more than `net.core.rmem_max`.
const BUFFER: usize = 8 << 20;
/// What the kernel charges for a packet besides its bytes: a rough upper bound.
const CHARGE: usize = 1024;

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    /// tokio's type for datagrams; it carries those of ICMP as well, and the calls below are made on its descriptor.
    fd: UdpSocket,
    family: Family,
    is_raw: bool,
    buffer: usize,
    /// Whether no request may go in fragments.
    forbids_fragments: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// Neither kind is allowed.
    #[error(
        "this process may not ping: widen the sysctl `net.ipv4.ping_group_range` to its group, or give the service \
         `AmbientCapabilities=CAP_NET_RAW` (the drop-in icmp.conf)"
    )]
    NotAllowed,
    /// Something else.
    #[error("no socket for it: {0}")]
    Failed(#[from] io::Error),
}

impl Socket {
    /// Opens one; `id` is the identifier of its requests. Has to be called in a runtime.
    pub fn open(family: Family, id: u16) -> Result<Self, CannotOpen> {
        let (fd, is_raw) = match create(family, SocketType::RAW) {
            Ok(fd) => (fd, true),
            Err(Errno::PERM | Errno::ACCESS) => match create(family, SocketType::DGRAM) {
                Ok(fd) => (fd, false),
                Err(Errno::PERM | Errno::ACCESS) => return Err(CannotOpen::NotAllowed),
                Err(err) => return Err(CannotOpen::Failed(err.into())),
            },
            Err(err) => return Err(CannotOpen::Failed(err.into())),
        };
        if is_raw {
            SockRef::from(&fd).attach_filter(&filter(family, id))?;
        }
        if sockopt::set_socket_recv_buffer_size_force(&fd, BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&fd, BUFFER).map_err(io::Error::from)?;
        }
        let buffer = sockopt::socket_recv_buffer_size(&fd).map_err(io::Error::from)?;
        // As the kernel has it by itself (WANT), a request goes with DF, and may be cut to fragments on this machine all the same:
        // for those the kernel draws a number at random each time, a tenth of what it does for a request (`__ip_select_ident` in
        // a profile). Where an administrator has set it otherwise (`net.ipv4.ip_no_pmtu_disc`), it stays.
        let is_usual = family == Family::V4 && sockopt::ip_mtu_discover(&fd) == Ok(Ipv4PathMtuDiscovery::WANT);
        let forbids_fragments = is_usual && sockopt::set_ip_mtu_discover(&fd, Ipv4PathMtuDiscovery::DO).is_ok();
        Ok(Self { fd: UdpSocket::from_std(fd.into())?, family, is_raw, buffer, forbids_fragments })
    }

    /// Lets requests go in fragments from here on: one was too large. Whether that helps.
    pub fn allow_fragments(&mut self) -> bool {
        std::mem::take(&mut self.forbids_fragments)
            && sockopt::set_ip_mtu_discover(&self.fd, Ipv4PathMtuDiscovery::WANT).is_ok()
    }

    /// Whether messages bear our own identifier, and errors are heard.
    pub fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// Whether messages come with their IP header.
    pub fn has_ip_header(&self) -> bool {
        self.is_raw && self.family == Family::V4
    }

    /// How many answers with `size` bytes of payload may wait in the kernel until we read them.
    pub fn room(&self, size: usize) -> usize {
        // Some of it is left for messages that are not ours.
        self.buffer / 4 * 3 / (CHARGE + size)
    }

    /// Sends a message.
    pub fn send(&self, message: &[u8], to: IpAddr) -> Result<(), Errno> {
        net::sendto(&self.fd, message, SendFlags::DONTWAIT, &SocketAddr::new(to, 0)).map(|_| ())
    }

    /// Reads a message: how many bytes it put into `bytes`, and from whom.
    pub fn receive(&self, bytes: &mut [u8]) -> Result<(usize, IpAddr), Errno> {
        loop {
            let (read, _, from) = net::recvfrom(&self.fd, &mut *bytes, RecvFlags::DONTWAIT)?;
            if let Some(Ok(from)) = from.map(SocketAddr::try_from) {
                return Ok((read, from.ip()));
            }
        }
    }

    /// Waits until there is something to read. Who calls has to read until there is nothing left.
    pub async fn readable(&self) -> io::Result<()> {
        self.fd.readable().await?;
        // tokio forgets that there is something where a read says that there is nothing.
        let _ = self.fd.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        Ok(())
    }
}

/// Whether this process may have one, of either kind.
pub fn may_open(family: Family) -> bool {
    [SocketType::RAW, SocketType::DGRAM].into_iter().any(|kind| create(family, kind).is_ok())
}

fn create(family: Family, kind: SocketType) -> Result<OwnedFd, Errno> {
    let (domain, protocol): (_, Protocol) = match family {
        Family::V4 => (AddressFamily::INET, ipproto::ICMP),
        Family::V6 => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    net::socket_with(domain, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(protocol))
}

/// Echo replies with our identifier, and the errors that may be about our requests; a raw socket would see all that the
/// machine receives. Classic BPF, as in the kernel's `Documentation/networking/filter.rst`; IPv4 begins at the IP header.
fn filter(family: Family, id: u16) -> Vec<SockFilter> {
    const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_BYTE: u16 = 0x50;
    const LOAD_HALF: u16 = 0x48;
    const LOAD_X: u16 = 0x01;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let (start, reply, errors) = match family {
        Family::V4 => (SockFilter::new(LOAD_X_HEADER_LENGTH, 0, 0, 0), 0, [3, 11, 12]),
        Family::V6 => (SockFilter::new(LOAD_X, 0, 0, 0), 129, [1, 3, 4]),
    };
    vec![
        start,
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(JUMP_EQUAL, 3, 0, reply),
        SockFilter::new(JUMP_EQUAL, 5, 0, errors[0]),
        SockFilter::new(JUMP_EQUAL, 4, 0, errors[1]),
        SockFilter::new(JUMP_EQUAL, 3, 2, errors[2]),
        SockFilter::new(LOAD_HALF, 0, 0, 4),
        SockFilter::new(JUMP_EQUAL, 1, 0, u32::from(id)),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}
