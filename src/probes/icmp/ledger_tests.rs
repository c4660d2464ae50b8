//! Whose answers count, and what is due when.

use super::*;

const ID: u16 = 77;
const TOKEN: u64 = 0xfeed;
const NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn order(packets: u32) -> Order {
    Order { to: NODE, packets, interval: ms(10), size: 56, timeout: ms(1000) }
}

/// A ledger with one run, all of whose requests have left.
fn sent(packets: u32) -> (Ledger<&'static str>, Vec<Echo>) {
    let mut ledger = Ledger::new(ID, 65_534);
    ledger.open(order(packets), TOKEN, "first", ms(0));
    let echoes = send_all(&mut ledger, packets);
    (ledger, echoes)
}

fn send_all(ledger: &mut Ledger<&'static str>, packets: u32) -> Vec<Echo> {
    let mut echoes = Vec::new();
    for at in 0..u64::from(packets) {
        let departure = ledger.departure(ms(at * 10), 100).expect("it is due");
        assert_eq!((departure.to, departure.size), (NODE, 56));
        ledger.left(&departure, ms(at * 10));
        echoes.push(departure.echo);
    }
    echoes
}

fn reply(echo: Echo) -> Heard {
    Heard::Reply { echo, size: 56 }
}

fn refused(echo: Echo, token: Option<u64>) -> Heard {
    Heard::Refused { to: NODE, id: echo.id, seq: echo.seq, token, why: "host-unreachable" }
}

#[test]
fn the_last_answer_completes_a_run() {
    let (mut ledger, echoes) = sent(3);
    let numbers: Vec<u16> = echoes.iter().map(|echo| echo.seq).collect();
    assert_eq!(numbers, [65_534, 65_535, 0], "numbers begin again");
    assert_eq!(ledger.hear(NODE, reply(echoes[1]), ms(21)), None);
    assert_eq!(ledger.hear(NODE, reply(echoes[0]), ms(22)), None);
    let (waiter, result) = ledger.hear(NODE, reply(echoes[2]), ms(25)).unwrap();
    assert_eq!(waiter, "first");
    assert_eq!(result, Echoes { sent: 3, rtts: vec![ms(11), ms(22), ms(5)], ..Echoes::default() });
    assert!(ledger.out.is_empty() && ledger.ends.is_empty() && ledger.departures.is_empty());
    assert_eq!(ledger.next_due(100), None);
}

#[test]
fn an_early_answer_does_not_complete_what_has_not_left() {
    let mut ledger = Ledger::new(ID, 0);
    ledger.open(order(2), TOKEN, "first", ms(0));
    let first = ledger.departure(ms(0), 100).unwrap();
    ledger.left(&first, ms(0));
    assert_eq!(ledger.hear(NODE, reply(first.echo), ms(1)), None);
    assert_eq!(ledger.departure(ms(9), 100), None);
    assert_eq!(ledger.next_due(100), Some(ms(10)));
    let second = ledger.departure(ms(10), 100).unwrap();
    ledger.left(&second, ms(10));
    assert!(ledger.hear(NODE, reply(second.echo), ms(11)).is_some());
}

#[test]
fn what_is_not_the_answer_does_not_count() {
    let (mut ledger, echoes) = sent(1);
    let ours = echoes[0];
    for (what, from, heard) in [
        ("somebody else sent it", ROUTER, reply(ours)),
        ("another identifier", NODE, reply(Echo { id: ID + 1, ..ours })),
        ("another number", NODE, reply(Echo { seq: ours.seq.wrapping_add(1), ..ours })),
        ("another token", NODE, reply(Echo { token: TOKEN + 1, ..ours })),
        ("a shorter payload", NODE, Heard::Reply { echo: ours, size: 55 }),
        ("an error that quotes another token", ROUTER, refused(ours, Some(TOKEN + 1))),
        ("an error that quotes another process's", ROUTER, refused(Echo { id: ID + 1, ..ours }, None)),
        (
            "an error about another node",
            NODE,
            Heard::Refused { to: ROUTER, id: ID, seq: ours.seq, token: Some(TOKEN), why: "host-unreachable" },
        ),
    ] {
        assert_eq!(ledger.hear(from, heard, ms(5)), None, "{what}");
        assert_eq!(ledger.out.len(), 1, "{what}");
    }
    assert!(ledger.hear(NODE, reply(ours), ms(6)).is_some());
}

#[test]
fn a_datagram_socket_has_an_identifier_of_its_own() {
    let (mut ledger, echoes) = sent(1);
    ledger.set_id_ours(false);
    assert!(ledger.hear(NODE, reply(Echo { id: 4, ..echoes[0] }), ms(5)).is_some());
}

#[test]
fn a_duplicate_counts_once() {
    let (mut ledger, echoes) = sent(2);
    assert_eq!(ledger.hear(NODE, reply(echoes[0]), ms(11)), None);
    assert_eq!(ledger.hear(NODE, reply(echoes[0]), ms(12)), None);
    let (_, result) = ledger.overdue(ms(1000)).unwrap();
    assert_eq!((result.sent, result.rtts.len()), (2, 1));
}

#[test]
fn a_late_answer_does_not_count_for_the_next_run() {
    let (mut ledger, echoes) = sent(1);
    assert_eq!(ledger.overdue(ms(999)), None);
    let (_, result) = ledger.overdue(ms(1000)).unwrap();
    assert_eq!((result.sent, result.rtts.len()), (1, 0));
    assert_eq!(ledger.hear(NODE, reply(echoes[0]), ms(1001)), None);
    ledger.seq = echoes[0].seq;
    ledger.open(order(1), TOKEN + 1, "second", ms(1001));
    let again = ledger.departure(ms(1001), 100).unwrap();
    ledger.left(&again, ms(1001));
    assert_eq!(again.echo.seq, echoes[0].seq, "the same number");
    assert_eq!(ledger.hear(NODE, reply(echoes[0]), ms(1002)), None);
    assert_eq!(ledger.hear(NODE, reply(again.echo), ms(1003)).map(|(waiter, _)| waiter), Some("second"));
}

#[test]
fn an_error_is_the_end_of_a_request_and_remembered() {
    let (mut ledger, echoes) = sent(2);
    assert_eq!(ledger.hear(ROUTER, refused(echoes[0], None), ms(11)), None);
    let (_, result) = ledger.hear(ROUTER, refused(echoes[1], Some(TOKEN)), ms(12)).unwrap();
    assert_eq!(result.unreachable, Some(Refusal { by: ROUTER, why: "host-unreachable" }));
    assert_eq!((result.sent, result.rtts.len()), (2, 0));
}

#[test]
fn two_runs_on_one_node_are_told_apart() {
    let (mut ledger, first) = sent(1);
    ledger.seq = first[0].seq;
    ledger.open(order(1), TOKEN + 1, "second", ms(1));
    let second = ledger.departure(ms(1), 100).unwrap();
    ledger.left(&second, ms(1));
    assert_ne!(second.echo.seq, first[0].seq, "a number that is out is not given again");
    assert_eq!(ledger.hear(NODE, reply(second.echo), ms(2)).map(|(waiter, _)| waiter), Some("second"));
    assert_eq!(ledger.hear(NODE, reply(first[0]), ms(3)).map(|(waiter, _)| waiter), Some("first"));
}

#[test]
fn no_more_leave_than_answers_have_room() {
    let mut ledger = Ledger::new(ID, 0);
    for _ in 0..3 {
        ledger.open(order(1), TOKEN, "one", ms(0));
    }
    for _ in 0..2 {
        let departure = ledger.departure(ms(0), 2).unwrap();
        ledger.left(&departure, ms(0));
    }
    assert_eq!(ledger.departure(ms(50), 2), None, "two are on their way back");
    assert_eq!(ledger.next_due(2), Some(YOUNG));
    let third = ledger.departure(YOUNG, 2).expect("they are not expected any more");
    ledger.left(&third, YOUNG);
    assert_eq!(ledger.young, 1);

    let (mut ledger, echoes) = sent(1);
    ledger.open(order(1), TOKEN, "second", ms(1));
    assert_eq!(ledger.departure(ms(1), 1), None);
    ledger.hear(NODE, reply(echoes[0]), ms(2)).unwrap();
    assert!(ledger.departure(ms(2), 1).is_some(), "an answer makes room");
}

#[test]
fn those_whose_time_is_over_before_they_left_are_passed_over() {
    let mut ledger = Ledger::new(ID, 0);
    ledger.open(order(1), TOKEN, "first", ms(0));
    ledger.open(Order { timeout: ms(5), ..order(1) }, TOKEN + 1, "hurried", ms(0));
    ledger.open(order(1), TOKEN + 2, "last", ms(0));
    assert_eq!(ledger.overdue(ms(5)).map(|(waiter, _)| waiter), Some("hurried"));
    for (token, waiter) in [(TOKEN, "first"), (TOKEN + 2, "last")] {
        let departure = ledger.departure(ms(6), 100).expect("it is due");
        assert_eq!(departure.echo.token, token);
        ledger.left(&departure, ms(6));
        assert_eq!(ledger.hear(NODE, reply(departure.echo), ms(7)).map(|(waiter, _)| waiter), Some(waiter));
    }
    assert_eq!((ledger.departure(ms(8), 100), ledger.next_due(100)), (None, None));
}

#[test]
fn what_is_closed_leaves_nothing_behind() {
    let (mut ledger, _) = sent(3);
    ledger.open(order(3), TOKEN, "second", ms(30));
    let mut waiters = ledger.close_all();
    waiters.sort_unstable();
    assert_eq!(waiters, ["first", "second"]);
    assert_eq!((ledger.len(), ledger.out.len(), ledger.young), (0, 0, 0));
    assert_eq!(ledger.next_due(100), None);
}

#[test]
fn what_came_back_is_not_kept_in_mind_as_long_as_it_was_young() {
    let mut ledger = Ledger::new(ID, 0);
    for run in 0..500 {
        let now = Duration::from_micros(run * 10);
        ledger.open(order(1), TOKEN, "one", now);
        let departure = ledger.departure(now, 100).expect("it is due");
        ledger.left(&departure, now);
        // Every hundredth is silent: what was sent behind it has to wait for its turn to be forgotten.
        if run % 100 != 99 {
            assert!(ledger.hear(NODE, reply(departure.echo), now).is_some());
        }
        let behind = if run < 99 { 1 } else { run - 98 };
        assert!(ledger.recent.len() as u64 <= behind, "{} after {run}", ledger.recent.len());
    }
    ledger.open(order(1), TOKEN, "last", ms(200));
    assert!(ledger.departure(ms(200), 100).is_some());
    assert_eq!((ledger.recent.len(), ledger.young), (0, 0));
}
