//! The probe `icmp`: echo requests, and what their answers say about the node.
//!
//! All runs of the daemon share one [`Pinger`]. No answer at all is `timeout`, or `unreachable` where somebody on the way
//! said so; some answers, but fewer than the check asks for, are `loss`. Whatever keeps us from sending is ERROR.

mod ledger;
mod packet;
mod pinger;
mod socket;

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use self::pinger::Pinger;

use self::ledger::Echoes;
use self::pinger::{Order, Trouble};
use super::Target;
use super::connect::Deadline;
use super::resolve::Resolver;
use crate::config::checks::Icmp;
use crate::domain::{Finding, Observation};

/// Whether this process may ping over IPv4 from here.
pub fn may_ping() -> bool {
    socket::may_open(packet::Family::V4)
}

/// One run.
pub(super) async fn run(
    spec: &Icmp,
    target: &Target,
    resolver: &Resolver,
    pinger: &Pinger,
    timeout: Duration,
) -> Observation {
    let deadline = Deadline::after(timeout);
    let to = match resolver.addresses(&target.address, 0, timeout).await {
        Ok(addresses) => addresses.first().map(SocketAddr::ip),
        Err(why) => return Observation::error(why),
    };
    let Some(to) = to else { return Observation::error(format!("`{}` has no address", target.address)) };
    let order = Order {
        to,
        packets: spec.packets,
        interval: spec.interval,
        size: spec.size as usize,
        timeout: deadline.left(),
    };
    judge(spec, to, timeout, pinger.ping(order).await)
}

/// What came back, as an observation.
fn judge(spec: &Icmp, to: IpAddr, timeout: Duration, result: Result<Echoes, Trouble>) -> Observation {
    let echoes = match result {
        Ok(echoes) => echoes,
        Err(trouble) => return Observation::error(format!("echo request to {to}: {trouble}")),
    };
    let sent = echoes.sent;
    if sent == 0 {
        return Observation::error(format!("echo request to {to}: none could be sent within {timeout:?}"));
    }
    let answered = echoes.rtts.len();
    let lost = sent.saturating_sub(answered);
    let loss = lost as f64 / sent as f64;
    // Room for all of it at once.
    let mut evidence = String::with_capacity(128);
    let _ = write!(evidence, "{answered} of {sent} echo requests to {to} answered");
    let observation = if answered == 0 {
        let waited = format!("no answer within {timeout:?}");
        let finding = match &echoes.unreachable {
            Some(said) => Finding::new("unreachable", format!("{} said {}", said.by, said.why)),
            None => Finding::new("timeout", waited.clone()),
        };
        evidence.push_str(": ");
        evidence.push_str(&finding.detail);
        if echoes.unreachable.is_none() && !echoes.sees_errors {
            evidence.push_str(" (who refuses is not heard without CAP_NET_RAW)");
        }
        Observation::fail(vec![finding], evidence)
    } else {
        let total: Duration = echoes.rtts.iter().sum();
        let least = echoes.rtts.iter().min().copied().unwrap_or_default();
        let most = echoes.rtts.iter().max().copied().unwrap_or_default();
        let mean = total / u32::try_from(answered).unwrap_or(u32::MAX);
        let [low, middle, high] = [least, mean, most].map(Millis);
        let _ = write!(evidence, ", rtt min/avg/max {low}/{middle}/{high} ms");
        let observation = if lost * 100 > sent * spec.max_loss_percent as usize {
            let detail = format!("{lost} of {sent} lost, {} % allowed", spec.max_loss_percent);
            Observation::fail(vec![Finding::new("loss", detail)], evidence)
        } else {
            Observation::pass(evidence)
        };
        let [least, mean, most] = [least, mean, most].map(|rtt| rtt.as_secs_f64());
        observation.with("rtt_min_seconds", least).with("rtt_avg_seconds", mean).with("rtt_max_seconds", most)
    };
    observation.with("loss_ratio", loss)
}

/// Milliseconds with three decimals. By whole numbers: writing three floats took a twentieth of a sweep.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = u64::try_from(self.0.saturating_add(Duration::from_nanos(500)).as_micros()).unwrap_or(u64::MAX);
        write!(out, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

#[cfg(test)]
mod tests;
