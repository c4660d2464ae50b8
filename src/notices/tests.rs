//! Receivers of all tempers.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::domain::{ClusterId, HostId, InstanceId, Mode, RemediationId, State, Target, Trigger};
use crate::engine::NoticeEvent;
use crate::providers::peer::{Peer, Reply};

const QUICK: Pauses = Pauses { first: Duration::from_millis(1), longest: Duration::from_millis(5) };

fn name(text: &str) -> NoticeId {
    NoticeId::parse(text).unwrap()
}

fn id(number: u128) -> EffectId {
    EffectId::new(Uuid::from_u128(number))
}

fn notice(receiver: &str) -> Notice {
    Notice {
        receiver: name(receiver),
        event: NoticeEvent::Opened,
        remediation_id: RemediationId::new(Uuid::from_u128(7)),
        target: Target {
            cluster_id: ClusterId::parse("train-a").unwrap(),
            instance_id: InstanceId::parse("i-7").unwrap(),
            instance_name: "gpu-node-7".to_owned(),
            host_id: HostId::parse("h-0042").unwrap(),
            provider_id: String::new(),
            generation: "1".to_owned(),
        },
        state: State::PendingApproval,
        mode: Mode::HostAware,
        trigger: Trigger::Automated,
        version: 3,
        reason: "rule gpu".to_owned(),
        summary: "proposed".to_owned(),
        alerts: vec!["DmesgGpuFallenOffBus".to_owned()],
    }
}

struct Desk {
    notices: Notices,
    told: mpsc::Receiver<Told>,
    now: Timestamp,
}

impl Desk {
    fn new(receivers: &[(&str, String)], pauses: Pauses) -> Self {
        let clock = Arc::new(Clock::start(None));
        let now = clock.now();
        let receivers = receivers.iter().map(|(id, url)| (name(id), url.clone())).collect();
        let (notices, told) = Notices::with_pauses(HttpClient::new().unwrap(), clock, receivers, pauses);
        Self { notices, told, now }
    }

    fn tell(&self, number: u128, receiver: &str) {
        self.notices.hand_over(id(number), self.now, notice(receiver)).unwrap();
    }

    async fn told(&mut self) -> (EffectId, Option<String>) {
        let told = tokio::time::timeout(Duration::from_secs(30), self.told.recv()).await;
        let told = told.expect("a result in time").expect("the channel is open");
        (told.effect_id, told.failure)
    }
}

#[tokio::test]
async fn a_notice_arrives_as_documented() {
    let peer = Peer::start(|_| Reply::status(202)).await;
    let mut desk = Desk::new(&[("chat", peer.url("/hook?token=s3cret"))], QUICK);
    desk.tell(1, "chat");
    assert_eq!(desk.told().await, (id(1), None));
    let [request] = peer.requests().try_into().unwrap();
    assert_eq!(request.target, "POST /hook?token=s3cret");
    assert_eq!(request.header("idempotency-key"), Some("00000000-0000-0000-0000-000000000001"));
    let expected = json!({
        "id": "00000000-0000-0000-0000-000000000001",
        "event": "opened",
        "occurred_at": desk.now.to_string(),
        "remediation": {
            "id": "00000000-0000-0000-0000-000000000007", "cluster_id": "train-a", "instance_id": "i-7",
            "instance_name": "gpu-node-7", "host_id": "h-0042", "mode": "host_aware", "state": "PENDING_APPROVAL",
            "trigger": "automated", "version": 3, "reason": "rule gpu",
        },
        "summary": "proposed",
        "alerts": ["DmesgGpuFallenOffBus"],
    });
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), expected);
}

#[tokio::test]
async fn passing_trouble_is_tried_again_with_the_same_key() {
    let answers = AtomicUsize::new(0);
    let peer = Peer::start(move |_| {
        let codes = [503, 429, 408, 500, 200];
        Reply::status(codes[answers.fetch_add(1, Ordering::Relaxed)])
    })
    .await;
    let mut desk = Desk::new(&[("chat", peer.url("/"))], QUICK);
    desk.tell(1, "chat");
    assert_eq!(desk.told().await, (id(1), None));
    let keys: Vec<_> =
        peer.requests().iter().map(|request| request.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys, vec![Some(id(1).to_string()); 5]);
}

#[tokio::test]
async fn a_clear_no_is_final() {
    for code in [301, 400, 401, 404, 410] {
        let peer = Peer::start(move |_| Reply::status(code)).await;
        let mut desk = Desk::new(&[("chat", peer.url("/"))], QUICK);
        desk.tell(1, "chat");
        assert_eq!(desk.told().await, (id(1), Some(format!("HTTP status {code}"))));
        assert_eq!(peer.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_notice_a_day_old_is_given_up() {
    let peer = Peer::start(|_| Reply::status(503)).await;
    let mut desk = Desk::new(&[("chat", peer.url("/"))], QUICK);
    desk.now = desk.now.minus(GIVE_UP_AFTER).plus(Duration::from_secs(2));
    desk.tell(1, "chat");
    let (_, failure) = desk.told().await;
    assert_eq!(failure.as_deref(), Some("not delivered within 24 h; the last time: HTTP status 503"));
    assert!(!peer.requests().is_empty());
}

#[tokio::test]
async fn each_receiver_gets_its_notices_in_order() {
    let answers = AtomicUsize::new(0);
    let peer = Peer::start(move |_| Reply::status([503, 200][answers.fetch_add(1, Ordering::Relaxed) % 2])).await;
    let mut desk = Desk::new(&[("chat", peer.url("/"))], QUICK);
    for number in 1..=20 {
        desk.tell(number, "chat");
    }
    for number in 1..=20 {
        assert_eq!(desk.told().await, (id(number), None));
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody_else() {
    let (hung, well) = (Peer::start(|_| Reply::silence()).await, Peer::start(|_| Reply::status(200)).await);
    let mut desk = Desk::new(&[("hung", hung.url("/")), ("well", well.url("/"))], QUICK);
    for number in 1..=20 {
        desk.tell(number, "hung");
    }
    desk.tell(100, "well");
    assert_eq!(desk.told().await, (id(100), None));
    assert!(hung.requests().len() <= 1);
}

#[tokio::test]
async fn what_too_many_wait_for_is_given_up_at_once() {
    let hung = Peer::start(|_| Reply::silence()).await;
    let desk = Desk::new(&[("hung", hung.url("/"))], QUICK);
    // One more than the queue holds may be under way.
    let refused =
        (0..WAITING as u128 + 2).find_map(|number| desk.notices.hand_over(id(number), desk.now, notice("hung")).err());
    let refused = refused.expect("a bound");
    assert!(refused.failure.is_some_and(|why| why.contains("wait for this receiver")));
    assert!(refused.effect_id >= id(WAITING as u128));
}

#[tokio::test]
async fn a_reload_sends_waiting_notices_elsewhere_or_gives_them_up() {
    let (dead, well) = (Peer::start(|_| Reply::status(503)).await, Peer::start(|_| Reply::status(200)).await);
    let hour = Pauses { first: Duration::from_secs(3600), longest: Duration::from_secs(3600) };
    let mut desk = Desk::new(&[("chat", dead.url("/")), ("pager", dead.url("/"))], hour);
    desk.tell(1, "chat");
    desk.tell(2, "pager");
    while dead.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    desk.notices.replace_receivers(BTreeMap::from([(name("chat"), well.url("/"))]));
    let mut results = [desk.told().await, desk.told().await];
    results.sort();
    let gone = Some("the receiver has left the configuration".to_owned());
    assert_eq!(results, [(id(1), None), (id(2), gone.clone())]);
    desk.tell(3, "pager");
    assert_eq!(desk.told().await, (id(3), gone));
}

#[test]
fn pauses_double_up_to_a_minute_and_are_never_less_than_half() {
    for number in 0..50 {
        for (attempt, whole_s) in [(0, 1), (1, 2), (3, 8), (6, 60), (40, 60), (u32::MAX, 60)] {
            let pause = Pauses::USUAL.before_retry(attempt, id(number));
            let whole = Duration::from_secs(whole_s);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
    }
    let pauses: std::collections::BTreeSet<_> = (0..50).map(|n| Pauses::USUAL.before_retry(0, id(n))).collect();
    assert!(pauses.len() > 40, "receivers that failed together must not come back together");
}
