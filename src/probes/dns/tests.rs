//! Against a small name server that can lie.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::super::testing::{PLENTY, SHORT, measured, outcome, run};
use crate::config::checks::dns::{NameServer, Rcode, RecordType, Wanted};
use crate::config::checks::{Dns, Probe};
use crate::domain::Observation;

/// What a server does with a question that came over this: messages to send, none to be silent.
type Answer = Arc<dyn Fn(&[u8], bool) -> Vec<Vec<u8>> + Send + Sync>;

/// A server on the same port of UDP and of TCP.
async fn server(answer: impl Fn(&[u8], bool) -> Vec<Vec<u8>> + Send + Sync + 'static) -> SocketAddr {
    let answer: Answer = Arc::new(answer);
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Somebody else may have that port of UDP.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = tcp.local_addr().unwrap();
    let over_udp = Arc::clone(&answer);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            for message in over_udp(&buffer[..length], false) {
                udp.send_to(&message, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut question).await.unwrap();
            for message in answer(&question, true) {
                let length = u16::try_from(message.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &message].concat()).await.unwrap();
            }
        }
    });
    address
}

/// The answer to a question: flags, and addresses.
fn reply(question: &[u8], flags: u16, addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2..4].copy_from_slice(&(0x8000 | flags).to_be_bytes());
    message[7] = u8::try_from(addresses.len()).unwrap();
    for address in addresses {
        message.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04");
        message.extend(address);
    }
    message
}

const HERE: [u8; 4] = [127, 0, 0, 1];
const TC: u16 = 1 << 9;

fn of_the_node(server: SocketAddr) -> Dns {
    Dns {
        server: NameServer::Node(server.port()),
        name: "{name}.site".into(),
        record: RecordType::A,
        rcode: Rcode::NOERROR,
        answers: vec![Wanted::Address],
    }
}

async fn ask(spec: Dns, limit: Duration) -> Observation {
    run(&Probe::Dns(Box::new(spec)), "127.0.0.1", limit).await
}

#[tokio::test]
async fn a_server_that_knows_the_node_passes() {
    let server = server(|question, _| {
        assert!(question[12..].starts_with(b"\x05gpu-1\x04site\x00"));
        vec![reply(question, 0, &[[10, 0, 0, 9], HERE])]
    });
    let observation = ask(of_the_node(server.await), PLENTY).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
    assert!(observation.evidence.contains("127.0.0.1"), "{}", observation.evidence);
    assert!(measured(&observation, "total_seconds").unwrap() > 0.0);
}

#[tokio::test]
async fn each_failure_of_a_server_has_its_name_where_it_is_the_node_and_is_ours_where_it_is_not() {
    type Deed = fn(&[u8]) -> Vec<Vec<u8>>;
    let table: [(Deed, Duration, &str, &str); 9] = [
        (|_| vec![], SHORT, "FAIL timeout", "ERROR"),
        (|question| vec![reply(question, 2, &[])], PLENTY, "FAIL rcode", "ERROR"),
        (|question| vec![reply(question, 5, &[])], PLENTY, "FAIL rcode", "ERROR"),
        (|question| vec![reply(question, 3, &[])], PLENTY, "FAIL rcode", "FAIL rcode"),
        (|question| vec![reply(question, 0, &[[10, 0, 0, 9]])], PLENTY, "FAIL answer", "FAIL answer"),
        (|question| vec![reply(question, 0, &[])], PLENTY, "FAIL answer", "FAIL answer"),
        (|question| vec![reply(question, 0, &[HERE])[..40].to_vec()], PLENTY, "FAIL answer", "ERROR"),
        (|question| vec![vec![question[0] ^ 1], question.to_vec()], SHORT, "FAIL timeout", "ERROR"),
        (|_| vec![vec![0xff; 400]; 50], SHORT, "FAIL timeout", "ERROR"),
    ];
    for (at, (deed, limit, node, fixed)) in table.into_iter().enumerate() {
        let server = server(move |question, _| deed(question)).await;
        let observation = ask(of_the_node(server), limit).await;
        assert_eq!(outcome(&observation), node, "{at}: {}", observation.evidence);
        let observation = ask(Dns { server: NameServer::Fixed(server), ..of_the_node(server) }, limit).await;
        assert_eq!(outcome(&observation), fixed, "{at}: {}", observation.evidence);
    }
}

#[tokio::test]
async fn lies_before_the_answer_are_passed_over() {
    let server = server(|question, _| {
        let answer = reply(question, 0, &[HERE]);
        let (mut other_id, mut other_name) = (reply(question, 3, &[]), reply(question, 3, &[]));
        other_id[0] ^= 1;
        other_name[14] ^= 1;
        vec![other_id, other_name, vec![0xc0; 300], Vec::new(), answer]
    });
    let observation = ask(of_the_node(server.await), PLENTY).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
}

#[tokio::test]
async fn a_question_that_was_lost_is_asked_again() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = server(move |question, _| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => vec![],
        _ => vec![reply(question, 0, &[HERE])],
    });
    let observation = ask(of_the_node(server.await), Duration::from_secs(6)).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let truncated = server(|question, is_tcp| match is_tcp {
        false => vec![reply(question, TC, &[])],
        true => vec![reply(question, 0, &[HERE; 100])],
    });
    let observation = ask(of_the_node(truncated.await), PLENTY).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);

    let still = server(|question, _| vec![reply(question, TC, &[])]).await;
    assert_eq!(outcome(&ask(of_the_node(still), PLENTY).await), "FAIL answer");
    let closing = server(|question, is_tcp| if is_tcp { vec![] } else { vec![reply(question, TC, &[])] }).await;
    assert_eq!(outcome(&ask(of_the_node(closing), PLENTY).await), "FAIL answer");
    let foreign = server(|question, is_tcp| if is_tcp { vec![vec![7; 12]] } else { vec![reply(question, TC, &[])] });
    assert_eq!(outcome(&ask(of_the_node(foreign.await), PLENTY).await), "FAIL answer");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused() {
    let held = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = held.local_addr().unwrap();
    // A socket that is connected elsewhere takes nothing from us, and the kernel says so.
    held.connect("127.0.0.9:9").await.unwrap();
    let observation = ask(of_the_node(address), PLENTY).await;
    assert_eq!(outcome(&observation), "FAIL refused", "{}", observation.evidence);
}

#[tokio::test]
async fn another_code_may_be_what_is_wanted() {
    let server = server(|question, _| vec![reply(question, 3, &[])]).await;
    let spec = Dns { rcode: Rcode::NXDOMAIN, answers: vec![], ..of_the_node(server) };
    let observation = ask(spec, PLENTY).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
}

#[tokio::test]
async fn what_cannot_be_asked_is_an_error_of_ours() {
    let server = server(|_, _| vec![]).await;
    let address_of_another_kind = Dns { record: RecordType::Aaaa, ..of_the_node(server) };
    assert_eq!(outcome(&ask(address_of_another_kind, SHORT).await), "ERROR");
    let too_long = Dns { name: format!("{}.{{name}}", vec!["a".repeat(60); 5].join(".")), ..of_the_node(server) };
    assert_eq!(outcome(&ask(too_long, SHORT).await), "ERROR");
}
