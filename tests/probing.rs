//! Active checks of a real daemon: real listeners that are closed and opened, programs that hang, a prober without a network.

mod dice;
mod support;

#[path = "probing/fleet.rs"]
mod fleet;
#[path = "probing/histories.rs"]
mod histories;
#[path = "probing/hung.rs"]
mod hung;
#[path = "probing/on_demand.rs"]
mod on_demand;
#[path = "probing/stories.rs"]
mod stories;
