//! The simulated machines' two ends: what the daemon's driver program calls, and what its Alertmanager client asks.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::alertmanager::gettable;
use super::world::World;
use crate::clock::Clock;

/// What both ends and the script share.
#[derive(Clone)]
pub(super) struct Stage {
    world: Arc<Mutex<World>>,
    /// One clock for all.
    pub clock: Arc<Clock>,
    /// How long an act takes.
    takes: Duration,
}

/// Far more than a driver's call.
const LARGEST_CALL: u64 = 64 * 1024;

impl Stage {
    pub(super) fn new(takes: Duration) -> Self {
        Self { world: Arc::default(), clock: Arc::new(Clock::start(None)), takes }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers as an Alertmanager's API would, until this is dropped.
    ///
    /// # Errors
    /// No port is free.
    pub(super) async fn serve_alertmanager(&self) -> io::Result<(SocketAddr, impl Future<Output = ()> + use<>)> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/api/v2/alerts", get(alerts)).with_state(self.clone());
        // It ends by an error of the listener only, after which the daemon says that it cannot be asked.
        Ok((address, async move { drop(axum::serve(listener, router).await) }))
    }

    /// Takes repairs at `socket`, until this is dropped.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(super) fn serve_machines(&self, socket: &Path) -> io::Result<impl Future<Output = ()> + use<>> {
        let listener = UnixListener::bind(socket)?;
        let stage = self.clone();
        Ok(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stage = stage.clone();
                // A driver that went away asks again.
                tokio::spawn(async move { stage.answer(stream).await });
            }
        })
    }

    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut text = String::new();
        (&mut stream).take(LARGEST_CALL).read_to_string(&mut text).await?;
        let answer = match serde_json::from_str::<Value>(&text) {
            Ok(call) => self.carry_out(&call).await,
            Err(error) => json!({"outcome": "refused", "detail": format!("the call is no JSON: {error}")}),
        };
        stream.write_all(format!("{answer}\n").as_bytes()).await
    }

    async fn carry_out(&self, call: &Value) -> Value {
        let word = |at: &str| call.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let operation = word("/operation_key");
        match word("/verb") {
            "act" => {
                self.world().begin(operation);
                tokio::time::sleep(self.takes).await;
                self.world().finish(operation, word("/instance/name"), self.clock.now())
            }
            "query" => self.world().query(operation),
            _ => json!({"outcome": "refused", "detail": "a simulated repair cannot be undone"}),
        }
    }
}

async fn alerts(State(stage): State<Stage>) -> impl IntoResponse {
    let body = gettable(stage.world().raised(), stage.clock.now()).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body)
}
