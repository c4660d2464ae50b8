//! Who may do what, and what happens around every handler.

use super::super::routes::{Dialect, ROUTES};
use super::*;

#[tokio::test]
async fn every_route_takes_its_role_and_no_less() {
    let house = house(configured(&["main"], Some(everybody())), |_| Reply::Remediation(Box::new(proposal())));
    for route in ROUTES {
        let path = route.path.replace("{cluster}", "c-1").replace("{instance}", "i-7").replace("{source}", "main");
        let path = path.replace("{id}", "00000000-0000-0000-0000-000000000007");
        let nobody = house.call(route.method, &path, &[], Body::empty()).await;
        let Some(needed) = route.needs else {
            assert!(nobody.status != 401 && nobody.status != 404, "{path}");
            continue;
        };
        assert_eq!(nobody.status, 401, "{path}");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
        match route.dialect {
            Dialect::Together => assert_eq!(nobody.json()["code"], 16, "{path}"),
            Dialect::Problem => assert_eq!(nobody.json()["status"], 401, "{path}"),
        }
        for role in Role::ALL {
            let bearer = format!("Bearer {}", token(role.as_str()));
            let answer = house.call(route.method, &path, &[("authorization", &bearer)], Body::empty()).await;
            let let_in = answer.status != 401 && answer.status != 403;
            assert_eq!(let_in, role.includes(needed), "{} {path} as {}", route.method, role.as_str());
            assert_ne!(answer.status, 405, "{} {path}", route.method);
        }
    }
}

#[tokio::test]
async fn a_cluster_of_others_looks_like_one_that_does_not_exist() {
    let house = house(configured(&["main"], Some(everybody())), |_| Reply::Remediation(Box::new(proposal())));
    let bearer = format!("Bearer {}", token("narrow"));
    let ask = async |cluster: &str| {
        let path = format!("/v1/compute/clusters/{cluster}/instances/i-7/remediations/x/approve");
        house.call("POST", &path, &[("authorization", &bearer)], Body::empty()).await
    };
    let (foreign, absent, own) = (ask("c-1").await, ask("c-9").await, ask("c-2").await);
    assert_eq!(foreign.status, 404);
    assert_eq!(foreign.text, absent.text.replace("c-9", "c-1"));
    assert_eq!(own.status, 200);
    assert_eq!(house.commands().len(), 1);
}

#[tokio::test]
async fn without_tokens_web_pages_and_foreign_names_are_turned_away() {
    let house = quiet();
    let foreign = house.call("GET", "/v3/whoami", &[("host", "evil.example")], Body::empty()).await;
    assert_eq!((foreign.status.as_u16(), &foreign.json()["code"]), (403, &json!(7)));
    let page = house.call("POST", HOOK, &[("origin", "http://localhost:9720")], message(1)).await;
    assert_eq!(page.status, 403);
    assert!(house.seen.lock().unwrap().is_empty());
    assert_eq!(house.call("GET", "/-/healthy", &[("host", "10.0.0.1")], Body::empty()).await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_worded_in_the_dialect_of_their_path() {
    let house = quiet();
    let native = house.get("/api/v1/nothing").await;
    assert_eq!((native.status.as_u16(), &native.json()["detail"]), (404, &json!("path `/api/v1/nothing` not found")));
    let together = house.get("/v1/nothing").await;
    assert_eq!((together.status.as_u16(), &together.json()["code"]), (404, &json!(5)));
    let method = house.call("PUT", PLACE, &[], Body::empty()).await;
    assert_eq!((method.status.as_u16(), &method.json()["code"]), (405, &json!(3)));
    assert!(method.header("allow").unwrap().contains("POST"));
}

#[tokio::test]
async fn a_request_id_comes_back_and_reaches_the_journal() {
    let house = quiet();
    let cancel = format!("{PLACE}/x/cancel");
    let answer = house.call("POST", &cancel, &[("x-request-id", "abc-1")], Body::empty()).await;
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    let long = "x".repeat(129);
    for bad in ["a b", "<script>", "", long.as_str()] {
        let answer = house.call("POST", &cancel, &[("x-request-id", bad)], Body::empty()).await;
        assert!(Uuid::try_parse(answer.header("x-request-id").unwrap()).is_ok(), "{bad}");
    }
    let seen = house.seen.lock().unwrap();
    assert_eq!((seen[0].0.principal.as_str(), seen[0].0.request_id.as_deref()), ("local", Some("abc-1")));
}

#[tokio::test]
async fn a_panic_ends_one_request_and_not_the_daemon() {
    let reload: Reload = Arc::new(|| Box::pin(async { panic!("a test of what a panic does") }));
    let house = house_with(configured(&["main"], None), reload, |_| Reply::Done);
    let answer = house.post("/-/reload", "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (500, &json!(500)));
    assert_eq!(house.get("/-/healthy").await.status, 200);
}

#[tokio::test]
async fn what_goes_wrong_inside_stays_inside() {
    let house = house(configured(&["main"], None), |_| Reply::Done);
    let answer = house.call("POST", &format!("{PLACE}/x/cancel"), &[("x-request-id", "q")], Body::empty()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!(13)));
    assert_eq!(answer.json()["message"], "internal error; the log has more under request id q");
}
