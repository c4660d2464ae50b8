//! Any bytes as an Alertmanager message: read or refused, and of what is read every alert is counted exactly once.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use remedyd::config::Loaded;
use remedyd::domain::Identity;
use remedyd_fuzz::{Site, deliver, read, shipped};

static LOADED: LazyLock<Loaded> = LazyLock::new(shipped);

fuzz_target!(|body: &[u8]| -> Corpus {
    let Some(delivery) = read(body) else { return Corpus::Keep };
    let received = (delivery.reports().len() + delivery.dead.len()) as u64;
    let mut site = Site::new(&LOADED);
    assert_eq!(deliver(&mut site, 2, delivery.clone()), received, "an alert was lost or counted twice");
    let open = open(&site);
    assert!(site.would_start_alike(), "memory is not the fold of the rows");
    // Alertmanager repeats what it said: a repeat adds up too, and neither opens nor closes anything.
    assert_eq!(deliver(&mut site, 3, delivery), received, "a repeat was counted differently");
    assert_eq!(open, self::open(&site), "a repeat changed which alerts are open");
    assert!(site.would_start_alike(), "memory is not the fold of the rows after a repeat");
    Corpus::Keep
});

fn open(site: &Site) -> BTreeSet<Identity> {
    site.rows.alerts().filter(|alert| alert.resolved_at.is_none()).map(|alert| alert.identity).collect()
}
