//! Active checks: one file per kind runs it and returns evidence. What the evidence means is the engine's question.
//!
//! Every run ends by its deadline, whatever the other end does; one that had to be killed is a finding of its own. A probe
//! says FAIL only where the node is to blame: what goes wrong on our side is ERROR, and what cannot run here is SKIPPED.

mod blame;
pub mod board;
mod certificate;
mod command;
mod connect;
pub mod dcgm_exporter;
mod dns;
mod exposition;
mod fetch;
pub mod gpu;
mod http;
pub mod icmp;
pub mod links;
pub mod nvml;
pub mod plan;
mod program;
mod pulse;
mod resolve;
pub mod runner;
mod tcp;
#[cfg(test)]
mod testing;
mod tls;

use std::time::Duration;

use crate::config::checks::Probe;
use crate::domain::{ClusterId, HostId, Instance, InstanceId, Observation};

/// The instance that a probe is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub instance_id: InstanceId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// The host below it: one run at a time.
    pub host_id: HostId,
    /// Its host name.
    pub name: Box<str>,
    /// Where it is reached: its first address, else its name.
    pub address: Box<str>,
    /// Its generation.
    pub generation: Box<str>,
}

impl Target {
    /// How this instance is reached.
    pub fn of(instance: &Instance) -> Self {
        Self {
            instance_id: instance.id.clone(),
            cluster_id: instance.cluster_id.clone(),
            host_id: instance.host_id.clone(),
            name: instance.name.as_str().into(),
            address: instance.addresses.first().unwrap_or(&instance.name).as_str().into(),
            generation: instance.generation.as_str().into(),
        }
    }
}

/// What all runs share.
#[derive(Debug, Default)]
pub struct Prober {
    resolver: resolve::Resolver,
    tls: tls::Handshakes,
    pinger: icmp::Pinger,
    /// What the NVLinks of the nodes showed last.
    links: links::Memory,
}

impl Prober {
    /// One run of `probe` on `target`, over within `timeout`.
    pub async fn run(&self, probe: &Probe, target: &Target, timeout: Duration) -> Observation {
        match probe {
            Probe::Icmp(spec) => icmp::run(spec, target, &self.resolver, &self.pinger, timeout).await,
            // A run has room for the largest of these, so all others stand apart: thousands wait for an echo at once.
            Probe::Tcp(spec) => Box::pin(tcp::run(spec, target, &self.resolver, timeout)).await,
            Probe::Http(spec) => Box::pin(http::run(spec, target, &self.resolver, &self.tls, timeout)).await,
            Probe::Dns(spec) => Box::pin(dns::run(spec, target, &self.resolver, timeout)).await,
            Probe::Command(spec) => Box::pin(command::run(spec, target, timeout)).await,
            Probe::DcgmExporter(spec) => {
                Box::pin(dcgm_exporter::run(spec, target, &self.resolver, &self.links, timeout)).await
            }
            Probe::Nvml(spec) => Box::pin(nvml::run(spec, target, &self.links, timeout)).await,
        }
    }
}
