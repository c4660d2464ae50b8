//! Where connections come from: addresses, socket files, and sockets that systemd has opened for us.
//!
//! A socket of systemd's outlives the process: connections that come while the daemon is restarted wait in the kernel's
//! queue, and the next daemon answers them.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net as blocking;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::debug;

use crate::config::Listen;

/// Whoever may write to the socket's group may connect, and nobody else.
const SOCKET_MODE: u32 = 0o660;
/// How long a client may leave unread what it was sent. Nobody else would ever end such a connection: it waits for room to
/// write, not for a head.
const STALL: Duration = Duration::from_secs(30);

/// It cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum CannotListen {
    /// The system says no.
    #[error("cannot listen on {place}")]
    System {
        /// Where.
        place: Listen,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has the socket file.
    #[error("cannot listen on unix:{}: somebody answers there; is another daemon running?", .0.display())]
    Taken(PathBuf),
    /// The file is something else.
    #[error("cannot listen on unix:{}: the file is no socket, so it is left alone", .0.display())]
    NoSocket(PathBuf),
    /// What systemd handed over cannot be used.
    #[error("cannot listen on socket {number} of systemd's: {source}; `ListenStream=` gives what is needed")]
    Inherited {
        /// Which, from 0.
        number: usize,
        /// Why.
        source: io::Error,
    },
}

/// Takes connections; they wait in the kernel's queue until somebody does.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    place: Listen,
    is_inherited: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { socket: UnixListener, _file: Option<SocketFile> },
}

/// Somebody who has connected.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// The sockets that systemd has opened for this process (sd_listen_fds(3)).
#[derive(Debug)]
pub struct Inherited(Vec<Result<InheritedSocket, CannotListen>>);

#[derive(Debug)]
enum InheritedSocket {
    Tcp(std::net::TcpListener),
    Unix(blocking::UnixListener),
}

impl Inherited {
    /// Takes them, once: before other threads run, as it clears the variables that announce them.
    pub fn take() -> Self {
        let mut given = ListenFd::from_env();
        let sockets = (0..given.len()).map(|number| {
            if let Ok(Some(socket)) = given.take_unix_listener(number) {
                return Ok(InheritedSocket::Unix(socket));
            }
            let gone = || io::Error::other("it was taken twice");
            let socket = given.take_tcp_listener(number).and_then(|socket| socket.ok_or_else(gone));
            socket.map(InheritedSocket::Tcp).map_err(|source| CannotListen::Inherited { number, source })
        });
        Self(sockets.collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Listens on each.
    ///
    /// # Errors
    /// One of them is no stream socket.
    pub fn listen(self) -> Result<Vec<Listener>, CannotListen> {
        let listen = |(number, socket): (usize, Result<InheritedSocket, CannotListen>)| {
            let listener = socket?.listen();
            listener.map_err(|source| CannotListen::Inherited { number, source })
        };
        self.0.into_iter().enumerate().map(listen).collect()
    }
}

impl InheritedSocket {
    fn listen(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                let place = Listen::Tcp(socket.local_addr()?);
                Ok(Listener { socket: Socket::Tcp(TcpListener::from_std(socket)?), place, is_inherited: true })
            }
            Self::Unix(socket) => {
                socket.set_nonblocking(true)?;
                let path = socket.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
                Ok(Listener {
                    socket: Socket::Unix { socket: UnixListener::from_std(socket)?, _file: None },
                    place: Listen::Unix(path),
                    is_inherited: true,
                })
            }
        }
    }
}

impl Listener {
    /// Takes a place.
    ///
    /// # Errors
    /// Somebody has it, or the system says no.
    pub async fn bind(place: &Listen) -> Result<Self, CannotListen> {
        let failed = |source| CannotListen::System { place: place.clone(), source };
        match place {
            Listen::Tcp(address) => {
                let socket = TcpListener::bind(address).await.map_err(failed)?;
                let place = Listen::Tcp(socket.local_addr().map_err(failed)?);
                Ok(Self { socket: Socket::Tcp(socket), place, is_inherited: false })
            }
            Listen::Unix(path) => {
                make_way(path)?;
                let socket = UnixListener::bind(path).map_err(failed)?;
                let file = SocketFile::new(path).map_err(failed)?;
                fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
                Ok(Self {
                    socket: Socket::Unix { socket, _file: Some(file) },
                    place: place.clone(),
                    is_inherited: false,
                })
            }
        }
    }

    /// Where it is, with the port that the system chose.
    pub fn place(&self) -> &Listen {
        &self.place
    }

    /// Whether it is systemd's, and stays when the daemon goes.
    pub fn is_inherited(&self) -> bool {
        self.is_inherited
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                // Answers are small and written in one piece; waiting for more to send only delays them. Failing that is
                // harmless.
                let _ = stream.set_nodelay(true);
                // The kernel cuts off a peer that takes nothing, whether it is gone or does not read.
                cut_off_after(&stream, STALL);
                Ok(Accepted::Tcp(stream, peer))
            }
            Socket::Unix { socket, .. } => socket.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

pub(super) fn cut_off_after(stream: &TcpStream, stall: Duration) {
    let limit = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = sockopt::set_tcp_user_timeout(stream, limit) {
        debug!("a client that does not read will not be cut off: {error}");
    }
}

/// Removes the socket file of a daemon that is gone; one on which somebody answers stays, and so does any other file.
fn make_way(path: &Path) -> Result<(), CannotListen> {
    let failed = |source| CannotListen::System { place: Listen::Unix(path.to_owned()), source };
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => return Err(CannotListen::NoSocket(path.to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    match blocking::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        // It may have gone by itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(CannotListen::Taken(path.to_owned())),
        Err(error) => Err(failed(error)),
    }
}

/// A socket file that we made; gone with the listener, unless another has taken its name by then.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: fs::symlink_metadata(path)?.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            // Left behind, it is replaced by the next daemon.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = Listener::bind(taken.place()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {}", taken.place()));
    }

    #[tokio::test]
    async fn a_socket_file_is_replaced_only_when_nobody_answers_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let place = Listen::Unix(path.clone());
        let first = Listener::bind(&place).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert!(matches!(Listener::bind(&place).await, Err(CannotListen::Taken(_))));
        drop(first);
        assert!(!path.exists());

        // As a daemon leaves it that was killed.
        drop(blocking::UnixListener::bind(&path).unwrap());
        let second = Listener::bind(&place).await.unwrap();
        // Somebody else's by now.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop(second);
        assert!(path.exists());
        assert!(matches!(Listener::bind(&place).await, Err(CannotListen::NoSocket(_))));
    }
}
