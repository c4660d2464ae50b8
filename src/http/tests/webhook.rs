//! Messages in, one by one and all of the recorded ones.

use super::*;
use crate::http::webhook::MAX_BODY_BYTES;

fn wire(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/tests/wire/alertmanager/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut bodies: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    bodies.sort();
    bodies
}

#[tokio::test]
async fn every_alert_of_a_genuine_message_is_read() {
    let house = quiet();
    let bodies = wire("genuine");
    assert_eq!(bodies.len(), 50);
    for (name, body) in bodies {
        let sent = serde_json::from_slice::<Value>(&body).unwrap()["alerts"].as_array().unwrap().len();
        let answer = house.post(HOOK, body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!(answer.json(), json!({"received": sent, "stored": sent, "merged": 0, "dead_lettered": 0}), "{name}");
    }
}

#[tokio::test]
async fn broken_messages_are_refused_whole_and_broken_alerts_alone() {
    let house = quiet();
    let mut shown = Vec::new();
    for (name, body) in wire("handwritten") {
        let answer = house.post(HOOK, body).await;
        let (short, _) = name.split_once('-').unwrap();
        let said = match answer.status.as_u16() {
            200 => format!("read {}, dead {}", answer.json()["stored"], answer.json()["dead_lettered"]),
            status => format!("{status}: {}", answer.json()["detail"].as_str().unwrap()),
        };
        shown.push(format!("{short} {said}"));
    }
    let wanted = "\
        h01 400: the body is not JSON: EOF while parsing a string at line 1 column 326; nothing of it was taken\n\
        h02 400: the body is not JSON: EOF while parsing a value at line 1 column 0; nothing of it was taken\n\
        h03 read 1, dead 0\n\
        h04 read 1, dead 0\n\
        h05 400: `alerts` is null, not a list; nothing of the body was taken\n\
        h06 read 0, dead 0\n\
        h07 read 1, dead 0\n\
        h08 read 0, dead 1\n\
        h09 read 2, dead 2\n\
        h10 read 0, dead 1\n\
        h11a read 1, dead 0\n\
        h11b read 1, dead 0\n\
        h11c read 1, dead 0\n\
        h12 read 2, dead 0\n\
        h13 read 2, dead 0\n\
        h14 read 1, dead 0\n\
        h15 400: the body is not UTF-8 at byte 194; nothing of it was taken\n\
        h16 read 0, dead 1\n\
        h17 read 1, dead 0\n\
        h18 read 1, dead 0\n\
        h19 read 1, dead 0\n\
        h20 read 3, dead 0\n\
        h21 read 1, dead 0\n\
        h22 read 0, dead 1\n\
        h23 read 1, dead 0\n\
        h24 read 1, dead 0\n\
        h25 read 1, dead 0\n\
        h26 read 1, dead 0\n\
        h27 read 1, dead 0\n\
        h28 read 1, dead 0\n\
        h29 read 1, dead 0\n\
        h30 read 5, dead 0";
    assert_eq!(shown.join("\n"), wanted);
}

#[tokio::test]
async fn a_body_that_is_no_message_says_what_it_is() {
    let house = quiet();
    for (body, detail) in [
        ("[]", "the body is a list, not an object; nothing of it was taken"),
        ("7", "the body is a number, not an object; nothing of it was taken"),
        ("null", "the body is null, not an object; nothing of it was taken"),
        ("{}", "`alerts` is missing, not a list; nothing of the body was taken"),
        (r#"{"alerts":{"a":[1]}}"#, "`alerts` is an object, not a list; nothing of the body was taken"),
        (r#"{"alerts":[]}x"#, "the body is not JSON: trailing characters at line 1 column 14; nothing of it was taken"),
    ] {
        let answer = house.post(HOOK, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str().unwrap()), (400, detail));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert!(house.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_message_enters_in_order_and_in_chunks() {
    let house = quiet();
    let answer = house.post(HOOK, message(600)).await;
    assert_eq!(answer.json(), json!({"received": 600, "stored": 600, "merged": 0, "dead_lettered": 0}));
    let seen = house.seen.lock().unwrap();
    let chunks: Vec<_> = seen
        .iter()
        .map(|(_, input)| match input {
            Input::Delivered(delivery) => delivery,
            other => panic!("{}", other.kind()),
        })
        .collect();
    assert_eq!(chunks.iter().map(|chunk| chunk.reports().len()).collect::<Vec<_>>(), [256, 256, 88]);
    let numbers = chunks.iter().flat_map(|chunk| chunk.reports()).map(|report| report.labels.get("n").unwrap());
    assert!(numbers.eq((0..600).map(|n| n.to_string()).collect::<Vec<_>>().iter()));
    assert_eq!(chunks[0].source().as_str(), "main");
}

#[tokio::test]
async fn a_message_too_large_is_refused_before_it_is_read() {
    let house = quiet();
    let size = (MAX_BODY_BYTES + 1).to_string();
    let answer = house.call("POST", HOOK, &[("content-length", &size)], Body::empty()).await;
    assert_eq!(answer.status, 413);
    let unannounced = vec![b' '; MAX_BODY_BYTES + 1];
    assert_eq!(house.post(HOOK, unannounced).await.status, 413);
    let crowd = house.post(HOOK, message(webhook_body::MAX_ALERTS + 1)).await;
    assert_eq!(crowd.status, 413, "{}", crowd.text);
    assert!(house.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_bare_path_means_the_only_source_or_main() {
    for (sources, bare) in [(&["a"][..], Some("a")), (&["a", "main"], Some("main")), (&["a", "b"], None), (&[], None)] {
        let house = house(configured(sources, None), |_| Reply::Done);
        let answer = house.post(HOOK, message(1)).await;
        let took = match &house.seen.lock().unwrap()[..] {
            [(_, Input::Delivered(delivery))] => Some(delivery.source().as_str().to_owned()),
            _ => None,
        };
        assert_eq!((answer.status == 200, took.as_deref()), (bare.is_some(), bare), "{sources:?}");
    }
    let house = quiet();
    assert_eq!(house.post(&format!("{HOOK}/main"), message(1)).await.status, 200);
    for unknown in ["other", "ma%2Fin", "%ff"] {
        assert_eq!(house.post(&format!("{HOOK}/{unknown}"), message(1)).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn what_was_received_is_counted_by_source() {
    let house = quiet();
    house.post(HOOK, r#"{"alerts":[1]}"#).await;
    house.post(HOOK, message(2)).await;
    house.post(HOOK, "x").await;
    let text = String::from_utf8(house.metrics.render().unwrap()).unwrap();
    for line in [
        "remedyd_alerts_received_total{source=\"main\"} 3",
        "remedyd_alerts_stored_total{source=\"main\"} 2",
        "remedyd_alerts_dead_lettered_total{source=\"main\"} 1",
        "remedyd_http_requests_total{code=\"200\",handler=\"webhook\"} 2",
        "remedyd_http_requests_total{code=\"400\",handler=\"webhook\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_writer_that_is_gone_is_a_503_in_every_dialect() {
    let (inlet, lanes) = writer::inlet(1);
    drop(lanes);
    let (_config, config) = watch::channel(Arc::new(configured(&["main"], None)));
    let door = inlet.door().clone();
    door.close("starting");
    let reload: Reload = Arc::new(|| Box::pin(async { Ok(()) }));
    let metrics = Arc::new(Metrics::new(at(1)));
    let (reader, _store) = store(&[]);
    let router = router(Shared::new(inlet, reader, config, Arc::clone(&metrics), reload, None));
    let house = House { router, seen: Arc::default(), metrics, _store, _config };
    let hook = house.post(HOOK, message(1)).await;
    assert_eq!((hook.status.as_u16(), hook.header("retry-after")), (503, Some("1")));
    let cancel = house.post(&format!("{PLACE}/x/cancel"), "").await;
    assert_eq!((cancel.status.as_u16(), &cancel.json()["code"]), (503, &json!(14)));
    let ready = house.get("/-/ready").await;
    assert_eq!((ready.status.as_u16(), ready.text.as_str()), (503, "remedyd is not ready: starting\n"));
    assert_eq!(house.post("/-/reload", "").await.status, 200);
    assert!(hook.text.contains("starting"), "{}", hook.text);
    door.open();
    let hook = house.post(HOOK, message(1)).await;
    assert_eq!(hook.status.as_u16(), 503);
    assert!(hook.text.contains("shutting down"), "{}", hook.text);
}

#[tokio::test]
async fn a_busy_writer_refuses_a_new_message_and_is_waited_for_by_one_that_has_begun() {
    let (inlet, mut lanes) = writer::inlet(1);
    let (_config, config) = watch::channel(Arc::new(configured(&["main"], None)));
    let reload: Reload = Arc::new(|| Box::pin(async { Ok(()) }));
    let metrics = Arc::new(Metrics::new(at(1)));
    let (reader, _store) = store(&[]);
    let router = router(Shared::new(inlet.clone(), reader, config, Arc::clone(&metrics), reload, None));
    let house = House { router, seen: Arc::default(), metrics, _store, _config };
    let empty = || {
        let source = SourceId::parse("main").unwrap();
        Input::Delivered(Delivery::new(source, None))
    };
    let fill = |inlet: Inlet| tokio::spawn(async move { inlet.submit(crate::writer::Cause::system(), empty()).await });
    let received = |n| Reply::Received { stored: n, merged: 0, dead_lettered: 0 };

    let _full = fill(inlet.clone());
    tokio::task::yield_now().await;
    assert_eq!(house.post(HOOK, message(1)).await.status, 503);
    lanes.signals.recv().await.unwrap();

    let (answer, refused) = tokio::join!(house.post(HOOK, message(300)), async {
        let first = lanes.signals.recv().await.unwrap();
        // The only place is taken before the first chunk is answered, so the second finds the writer busy.
        let full = fill(inlet.clone());
        tokio::task::yield_now().await;
        first.reply.send(Ok(received(256))).unwrap();
        let refused = {
            // Long enough for the second chunk to come and be turned away.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            lanes.signals.len()
        };
        lanes.signals.recv().await.unwrap();
        full.abort();
        let second = lanes.signals.recv().await.unwrap();
        second.reply.send(Ok(received(44))).unwrap();
        refused
    });
    assert_eq!(refused, 1);
    assert_eq!(answer.json(), json!({"received": 300, "stored": 300, "merged": 0, "dead_lettered": 0}));
}
