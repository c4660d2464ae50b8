//! What a scrape shows of configurations that come and go.

use super::*;
use crate::domain::HeldWhy;

fn known(sources: &[&str], receivers: &[&str]) -> Known {
    Known {
        sources: sources.iter().map(|name| SourceId::parse(name).unwrap()).collect(),
        receivers: receivers.iter().map(|name| NoticeId::parse(name).unwrap()).collect(),
        ..Known::default()
    }
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render().unwrap()).unwrap()
}

#[test]
fn every_child_with_enum_labels_is_there_from_the_start() {
    let text = text(&Metrics::new(Timestamp::from_micros(0)));
    for line in [
        "remedyd_remediations{state=\"PENDING_APPROVAL\"} 0",
        "remedyd_remediations_opened_total{mode=\"host_aware\",trigger=\"automated\"} 0",
        "remedyd_remediation_duration_seconds_count{mode=\"vm_only\",outcome=\"SUCCEEDED\"} 0",
        "remedyd_held{reason=\"cooldown\"} 0",
        "remedyd_config_last_reload_successful 0",
        "process_start_time_seconds 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn series_follow_the_configuration() {
    let metrics = Metrics::new(Timestamp::from_micros(0));
    metrics.configured(known(&["a", "b"], &["chat"]), "00000000000a", Timestamp::from_micros(1_500_000));
    metrics.delivered(&SourceId::parse("b").unwrap(), Taken { stored: 2, merged: 3, dead_lettered: 4 });
    metrics.configured(known(&["b"], &["pager"]), "00000000000b", Timestamp::from_micros(2_500_000));
    metrics.notified(&NoticeId::parse("pager").unwrap(), false);
    let shown = text(&metrics);
    for (family, n) in [("received", 9), ("stored", 2), ("merged", 3), ("dead_lettered", 4)] {
        assert!(shown.contains(&format!("remedyd_alerts_{family}_total{{source=\"b\"}} {n}\n")), "{shown}");
    }
    assert!(!shown.contains("source=\"a\"") && !shown.contains("chat"), "{shown}");
    assert!(shown.contains("remedyd_notices_failed_total{receiver=\"pager\"} 1\n"));
    assert!(shown.contains("remedyd_config_last_reload_success_timestamp_seconds 2.5\n"));
    assert!(shown.contains("remedyd_config_last_reload_successful 1\n"));
    metrics.reload_failed();
    assert!(text(&metrics).contains("remedyd_config_last_reload_successful 0\n"));
}

#[test]
fn every_reason_to_hold_has_its_series() {
    let metrics = Metrics::new(Timestamp::from_micros(0));
    let before = text(&metrics).matches("remedyd_held{").count();
    for why in
        [HeldWhy::For, HeldWhy::Cooldown, HeldWhy::Settle, HeldWhy::Paused, HeldWhy::OptedOut, HeldWhy::ContactSupport]
    {
        metrics.held(&why);
        metrics.unheld(&why);
    }
    assert_eq!(text(&metrics).matches("remedyd_held{").count(), before);
}
