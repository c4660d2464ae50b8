//! Carries what the store's own upkeep did to the metrics and to the engine, which decides what may go.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::effects::Hands;
use crate::engine::Input;
use crate::store::UpkeepDone;
use crate::writer::Cause;

/// Reports until the daemon ends.
pub async fn report(hands: Arc<Hands>, mut done: mpsc::UnboundedReceiver<UpkeepDone>) {
    while let Some(done) = done.recv().await {
        match done {
            UpkeepDone::Walked { rows, bytes } => hands.metrics.scrubbed(&rows, bytes),
            UpkeepDone::NotCheckpointed => hands.metrics.not_checkpointed(),
            UpkeepDone::Checkpointed { at, bytes, covered } => {
                hands.metrics.checkpointed(at, bytes);
                // Where it is refused, the next checkpoint says the same and more.
                let _ = hands.inlet.submit(Cause::system(), Input::Checkpointed { covered }).await;
            }
        }
    }
    // The applier is gone; its own end says why.
    std::future::pending().await
}
