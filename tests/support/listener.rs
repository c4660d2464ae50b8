//! A port that takes connections and says nothing, and can be closed and opened again at the same address.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// While it is open every connection is taken and dropped; while it is closed the kernel refuses them.
pub struct Listener {
    address: SocketAddr,
    open: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Listener {
    /// One that is open.
    pub fn open(address: SocketAddr) -> Self {
        let mut listener = Self { address, open: None };
        listener.go_up();
        listener
    }

    pub fn is_up(&self) -> bool {
        self.open.is_some()
    }

    pub fn go_up(&mut self) {
        if self.is_up() {
            return;
        }
        let listener = TcpListener::bind(self.address).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                drop(stream);
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        self.open = Some((ends, thread));
    }

    /// When this returns, the port is closed.
    pub fn go_down(&mut self) {
        let Some((ends, thread)) = self.open.take() else { return };
        ends.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        thread.join().unwrap();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.go_down();
    }
}
