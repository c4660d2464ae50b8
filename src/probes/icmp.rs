//! The probe `icmp`: echo requests, and what their answers say about the node.
//!
//! All runs of the daemon share one [`Pinger`]. No answer at all is `timeout`, or `unreachable` where somebody on the way
//! said so; some answers, but fewer than the check asks for, are `loss`. Whatever keeps us from sending is ERROR.

mod ledger;
mod packet;
mod pinger;
mod socket;

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout as within;

pub use self::pinger::Pinger;

use self::ledger::Echoes;
use self::pinger::{Order, Trouble};
use super::Target;
use crate::clock::Stopwatch;
use crate::config::checks::Icmp;
use crate::domain::{Finding, Observation};

/// One run.
pub async fn run(pinger: &Pinger, spec: &Icmp, target: &Target, timeout: Duration) -> Observation {
    let watch = Stopwatch::start();
    let to = match resolve(&target.address, timeout).await {
        Ok(to) => to,
        Err(why) => return Observation::error(why),
    };
    let order = Order {
        to,
        packets: spec.packets,
        interval: spec.interval,
        size: spec.size as usize,
        timeout: timeout.saturating_sub(watch.elapsed()),
    };
    judge(spec, to, timeout, pinger.ping(order).await)
}

/// The address itself, or the first that its name has. That a name cannot be resolved says something about our resolver and
/// nothing about the node.
async fn resolve(address: &str, timeout: Duration) -> Result<IpAddr, String> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    match within(timeout, lookup_host((address, 0))).await {
        Ok(Ok(mut found)) => found
            .next()
            .map(|socket| socket.ip())
            .ok_or_else(|| format!("`{address}` has no address: give it one in `addresses`")),
        Ok(Err(err)) => {
            Err(format!("`{address}` cannot be resolved: {err}; give the instance an address in `addresses`"))
        }
        Err(_) => Err(format!("`{address}` was not resolved in time; give the instance an address in `addresses`")),
    }
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
    let mut evidence = format!("{answered} of {sent} echo requests to {to} answered");
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
        let least = echoes.rtts.iter().min().copied().unwrap_or_default().as_secs_f64();
        let most = echoes.rtts.iter().max().copied().unwrap_or_default().as_secs_f64();
        let mean = total.as_secs_f64() / answered as f64;
        evidence.push_str(&format!(", rtt min/avg/max {:.3}/{:.3}/{:.3} ms", least * 1e3, mean * 1e3, most * 1e3));
        let observation = if lost * 100 > sent * spec.max_loss_percent as usize {
            let detail = format!("{lost} of {sent} lost, {} % allowed", spec.max_loss_percent);
            Observation::fail(vec![Finding::new("loss", detail)], evidence)
        } else {
            Observation::pass(evidence)
        };
        observation.with("rtt_min_seconds", least).with("rtt_avg_seconds", mean).with("rtt_max_seconds", most)
    };
    observation.with("loss_ratio", loss)
}

#[cfg(test)]
mod tests;
