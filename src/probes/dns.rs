//! The probe `dns`: does a name server answer, and with what it should.
//!
//! Where the node is the name server, its silence is its fault. Where another machine is asked about the node, only an
//! answer that is wrong counts against the node: that machine's silence, its refusal and its failure are errors of ours,
//! because they say nothing about the node and would be said of all nodes at once.

mod message;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use self::message::{NoReply, Question, Reply};
use super::Target;
use super::blame::Trouble;
use super::connect::{Connected, Deadline, connect_to, seconds};
use super::resolve::Resolver;
use crate::config::checks::Dns;
use crate::config::checks::dns::{NameServer, Rcode, RecordType, Wanted};
use crate::domain::{Finding, Observation};

/// How often the question is sent over UDP, where datagrams are lost.
const TRIES: u32 = 3;
/// How long an answer over UDP may be, in bytes; without EDNS it has at most 512.
const DATAGRAM_BYTES: usize = 4096;
/// How many answers are shown.
const SHOWN: usize = 8;

/// One run.
pub async fn run(spec: &Dns, target: &Target, resolver: &Resolver, limit: Duration) -> Observation {
    let deadline = Deadline::after(limit);
    let name = spec.name.replace("{name}", &target.name);
    let asked = format!("dns {} {name}", spec.record.as_str());
    let Some(question) = Question::new(&name, spec.record) else {
        return Observation::error(format!("{asked}: the DNS cannot have such a name"));
    };
    let wanted: Result<Vec<String>, String> = spec.answers.iter().map(|one| wanted(one, spec.record, target)).collect();
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(why) => return Observation::error(format!("{asked}: {why}")),
    };
    let server = match spec.server {
        NameServer::Fixed(server) => server,
        NameServer::Node(port) => match resolver.addresses(&target.address, port, deadline.left()).await {
            // The resolver gives at least one.
            Ok(addresses) => addresses[0],
            Err(why) => return Observation::error(format!("{asked}: {why}")),
        },
    };
    let asked = format!("{asked} at {server}");
    let outcome = ask(&question, server, &deadline).await;
    let took = deadline.elapsed();
    let observation = match outcome {
        Ok(reply) => judge(spec, &reply, &wanted, &asked, took),
        Err(trouble) => whose(spec.server, trouble).observation(&asked),
    };
    observation.with("total_seconds", took.as_secs_f64())
}

/// Trouble with the server is the node's only where the node is the server.
fn whose(server: NameServer, trouble: Trouble) -> Trouble {
    match (server, trouble) {
        (NameServer::Fixed(_), Trouble::Node { detail, .. }) => {
            Trouble::Ours(format!("{detail}; the server is not the node"))
        }
        (NameServer::Fixed(_) | NameServer::Node(_), trouble) => trouble,
    }
}

fn wanted(wanted: &Wanted, record: RecordType, target: &Target) -> Result<String, String> {
    match wanted {
        Wanted::Text(text) => Ok(text.replace("{name}", &target.name.to_ascii_lowercase())),
        Wanted::Address => match (target.address.parse(), record) {
            (Ok(IpAddr::V4(address)), RecordType::A) => Ok(address.to_string()),
            (Ok(IpAddr::V6(address)), RecordType::Aaaa) => Ok(address.to_string()),
            _ => Err(format!("`{}` is no address that a record of this type may hold", target.address)),
        },
    }
}

fn judge(spec: &Dns, reply: &Reply, wanted: &[String], asked: &str, took: Duration) -> Observation {
    let rcode = reply.rcode.shown();
    let came: Vec<&str> = reply.answers.iter().take(SHOWN).map(String::as_str).collect();
    let came = if came.is_empty() { "no answer".to_owned() } else { format!("{came:?}") };
    let evidence = format!("{asked}: {rcode}, {came} in {}", seconds(took));
    if reply.rcode != spec.rcode {
        let detail = format!("{rcode} and not {}", spec.rcode.shown());
        // Of another machine, that there is no such name is said about the node; that it could not look is not.
        let is_about_the_name = [Rcode::NOERROR, Rcode::NXDOMAIN].contains(&reply.rcode);
        let trouble = Trouble::node("rcode", detail);
        let trouble = if is_about_the_name { trouble } else { whose(spec.server, trouble) };
        return trouble.observation(asked);
    }
    let missing: Vec<&str> =
        wanted.iter().map(String::as_str).filter(|one| !reply.answers.iter().any(|a| a == one)).collect();
    let detail = if !missing.is_empty() {
        format!("{} not among the answers {came}", missing.join(", "))
    } else if spec.rcode == Rcode::NOERROR && reply.answers.is_empty() {
        format!("no record of type {}", spec.record.as_str())
    } else {
        return Observation::pass(evidence);
    };
    Observation::fail(vec![Finding::new("answer", detail)], evidence)
}

/// Asks over UDP, and over TCP where the answer is too long for it.
async fn ask(question: &Question, server: SocketAddr, deadline: &Deadline) -> Result<Reply, Trouble> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|error| Trouble::Ours(format!("no random number: {error}")))?;
    let id = u16::from_be_bytes(id);
    let reply = over_udp(question, id, server, deadline).await?;
    if !reply.is_truncated {
        return Ok(reply);
    }
    match timeout(deadline.left(), over_tcp(question, id, server, deadline)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Trouble::silence(format!("over TCP, no answer within {}", seconds(deadline.limit())))),
    }
}

async fn over_udp(question: &Question, id: u16, server: SocketAddr, deadline: &Deadline) -> Result<Reply, Trouble> {
    let here: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The kernel picks a random port, and a connected socket hears nobody but the server.
    let socket = UdpSocket::bind((here, 0)).await.map_err(|error| Trouble::of("opening a socket", &error))?;
    socket.connect(server).await.map_err(|error| Trouble::of("opening a socket", &error))?;
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let mut foreign = 0_u32;
    for round in 0..TRIES {
        socket.send(&question.message(id)).await.map_err(|error| Trouble::of("asking", &error))?;
        let listening = async {
            loop {
                let length = socket.recv(&mut buffer).await.map_err(|error| Trouble::of("listening", &error))?;
                match question.reply(id, &buffer[..length]) {
                    Ok(reply) => return Ok(reply),
                    Err(NoReply::Broken) => return Err(Trouble::node("answer", "the answer cannot be read")),
                    Err(NoReply::Foreign) => foreign = foreign.saturating_add(1),
                }
            }
        };
        if let Ok(outcome) = timeout(deadline.left() / (TRIES - round), listening).await {
            return outcome;
        }
    }
    let others = if foreign == 0 { String::new() } else { format!(", only {foreign} to another question") };
    Err(Trouble::silence(format!("no answer within {}{others}", seconds(deadline.limit()))))
}

/// RFC 1035 §4.2.2: the length in two bytes, then the message.
async fn over_tcp(question: &Question, id: u16, server: SocketAddr, deadline: &Deadline) -> Result<Reply, Trouble> {
    let Connected { mut stream, .. } = connect_to(server, deadline.left()).await?;
    let message = question.message(id);
    let length = u16::try_from(message.len()).unwrap_or_default().to_be_bytes();
    let reading = async {
        stream.write_all(&[&length[..], &message].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let answer = reading.await.map_err(|error: std::io::Error| match error.raw_os_error() {
        Some(_) => Trouble::of("over TCP", &error),
        None => Trouble::node("answer", "over TCP, the server closed before the answer was whole"),
    })?;
    match question.reply(id, &answer) {
        Ok(reply) if !reply.is_truncated => Ok(reply),
        Ok(_) => Err(Trouble::node("answer", "over TCP, the answer is cut off")),
        Err(NoReply::Broken) => Err(Trouble::node("answer", "over TCP, the answer cannot be read")),
        Err(NoReply::Foreign) => Err(Trouble::node("answer", "over TCP, the answer is to another question")),
    }
}

#[cfg(test)]
mod tests;
