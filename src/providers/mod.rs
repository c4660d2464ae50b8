//! Wire clients shared by the edges. They translate and carry; what an answer means is asked elsewhere.

pub mod alertmanager;
pub mod daemon;
pub mod http_client;

#[cfg(test)]
pub(crate) mod peer;
