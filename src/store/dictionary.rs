//! What rows look like, for the kinds of which there are many: where LZ4 begins when it makes one small, or whole again.
//!
//! Each text is rows of its kind, a line each, the usual ones last. Values are stored that need them, so they are never changed:
//! others would be another form.

use super::keys::Kind;

/// The text for rows of this kind; nothing where there are few of them.
pub fn of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Instance => Some(INSTANCE),
        Kind::NodeMemory => Some(NODE_MEMORY),
        Kind::Remediation => Some(REMEDIATION),
        Kind::Link => Some(LINK),
        Kind::Transition => Some(TRANSITION),
        Kind::Alert => Some(ALERT),
        Kind::Held => Some(HELD),
        Kind::Run => Some(RUN),
        Kind::Condition => Some(CONDITION),
        Kind::Cluster
        | Kind::Hold
        | Kind::Alias
        | Kind::Pending
        | Kind::DeadLetter
        | Kind::Execution
        | Kind::Horizon
        | Kind::Pause => None,
    }
}

const INSTANCE: &str = r#"{"id":"i-1","name":"gpu-node-1","cluster_id":"train-a","host_id":"h-0036","addresses":["10.0.0.1"],"provider_id":"vm-1","pool":"h100","generation":"1","domains":{"leaf":"leaf-3","rack":"r6"},"auto_remediation_enabled":true}"#;

const NODE_MEMORY: &str = r#"{"instance_id":"i-1","repairs":[{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","host_id":"h-0036","mode":"vm_only","state":"CANCELLED","acted":false,"ended_at":1795779076421148},{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","host_id":"h-0036","mode":"host_aware","state":"FAILED","acted":true,"ended_at":1795779076421148},{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","host_id":"h-0036","mode":"reboot_vm","state":"SUCCEEDED","acted":true,"ended_at":1795779076421148},{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","host_id":"h-0036","mode":"host_aware","state":"AUTO_RESOLVED","acted":false,"ended_at":1795779076421148}]}"#;

const REMEDIATION: &str = r#"{"id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","target":{"cluster_id":"train-a","instance_id":"i-1","instance_name":"gpu-node-1","host_id":"h-0036","provider_id":"","generation":"1"},"mode":"host_aware","trigger":"automated","state":"AUTO_RESOLVED","version":2,"reason":"Gpu (xid 79) on gpu-node-1","requested_by":"remedyd","created_at":1795779076421148,"updated_at":1795779076421148,"ended_at":1795779076421148,"note":"its alerts cleared","rule":"gpu","auto_resolve":"alert","opened_by":"c64c931b-cd9f-582a-bdfa-25417552c620","links_omitted":0,"clear_since":1795779076421148,"due":{"at":1795779076421148,"why":"resolve"}}
{"id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","target":{"cluster_id":"train-a","instance_id":"i-1","instance_name":"gpu-node-1","host_id":"h-0036","provider_id":"","generation":"1"},"mode":"host_aware","trigger":"automated","state":"PENDING_APPROVAL","version":1,"reason":"Gpu (xid 79) on gpu-node-1","requested_by":"remedyd","created_at":1795779076421148,"updated_at":1795779076421148,"rule":"gpu","auto_resolve":"alert","opened_by":"c64c931b-cd9f-582a-bdfa-25417552c620","links_omitted":0,"due":{"at":1795865476421148,"why":"expire"}}"#;

const LINK: &str = r#"{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","n":0,"identity":"76e532d2-b615-5daa-8f7a-afad0342b643","alert_id":"c64c931b-cd9f-582a-bdfa-25417552c620","source":"main","alert_name":"Gpu","severity":"warning","annotations":[["runbook_url","https://"]],"annotation":{"title":"","description":"","summary_line":"","xids":[]},"started_at":1795777200000000,"resolved_at":1795777200000000,"cleared_at":1795779076421148,"refires":0}
{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","n":0,"identity":"76e532d2-b615-5daa-8f7a-afad0342b643","alert_id":"c64c931b-cd9f-582a-bdfa-25417552c620","source":"main","alert_name":"Gpu","severity":"critical","annotations":[["description","XID 79"],["summary","GPU 3 fell off the bus"]],"annotation":{"title":"GPU 3 fell off the bus","description":"XID 79","summary_line":"xid 79 x1","xids":[{"code":79,"mnemonic":"ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS","count":1}]},"started_at":1795777200000000,"refires":0}"#;

const TRANSITION: &str = r#"{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","version":3,"at":1795779076421148,"from":"PENDING","to":"RUNNING","mode":"host_aware","principal":"remedyd","verb":"start","reason":"HOST_AWARE by driver vm"}
{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","version":2,"at":1795779076421148,"from":"PENDING_APPROVAL","to":"AUTO_RESOLVED","mode":"host_aware","principal":"remedyd","verb":"resolve","reason":"its alerts cleared"}
{"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","version":1,"at":1795779076421148,"to":"PENDING_APPROVAL","mode":"host_aware","principal":"remedyd","verb":"create","reason":"rule gpu: Gpu (xid 79) on gpu-node-1"}"#;

const ALERT: &str = r#"{"id":"c64c931b-cd9f-582a-bdfa-25417552c620","identity":"76e532d2-b615-5daa-8f7a-afad0342b643","episode":2,"source":"main","fingerprint":"","labels":[["Hostname",""],["UUID","GPU-"],["check",""],["device","nvidia0"],["exported_instance",""],["finding",""],["host",""],["job",""],["modelName","NVIDIA H100 80GB HBM3"],["namespace",""],["node",""],["pod",""],["prometheus",""],["xid",""]],"annotations":[["runbook_url","https://"]],"truncated":false,"state":"RESOLVED","muted":false,"severity":"warning","joined":{"Err":"no instance"},"started_at":1795777200000000,"newest_start":1795777200000000,"resolved_at":1795777200000000,"previous_end":1795777200000000,"opened_at":1795779076421148,"cleared_at":1795779076421148,"last_seen_at":1795779076421148,"run_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0"}
{"id":"c64c931b-cd9f-582a-bdfa-25417552c620","identity":"76e532d2-b615-5daa-8f7a-afad0342b643","episode":1,"source":"main","fingerprint":"0011223344556677","labels":[["alertname","Gpu"],["cluster","train-a"],["gpu","3"],["instance","gpu-node-1:9100"],["severity","critical"]],"annotations":[["description","XID 79"],["summary","GPU 3 fell off the bus"]],"truncated":false,"state":"FIRING","muted":false,"severity":"critical","xid":79,"joined":{"Ok":{"cluster_id":"train-a","instance_id":"i-1"}},"started_at":1795777200000000,"newest_start":1795777200000000,"opened_at":1795779076421148,"last_seen_at":1795779076421148,"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0"}"#;

const HELD: &str = r#"{"cluster_id":"train-a","instance_id":"i-1","rule":"gpu","mode":"host_aware","why":"cooldown","since":1795779076421148,"until":1795779076421148}
{"cluster_id":"train-a","instance_id":"i-1","rule":"gpu","mode":"host_aware","why":"for","since":1795779076421148,"until":1795779076421148}"#;

const RUN: &str = r#"{"id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","check":"http","kind":"http","cluster_id":"train-a","instance_id":"i-1","generation":"1","started_at":1795779076421148,"ended_at":1795779076421148,"verdict":"PASS","findings":[],"measurements":[],"evidence":"","why":"on_demand","set_aside":null}
{"id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","check":"tcp","kind":"tcp","cluster_id":"train-a","instance_id":"i-1","generation":"1","started_at":1795779076421148,"ended_at":1795779076421148,"verdict":"FAIL","findings":[{"name":"timeout","device":"","xid":null,"recovery_action":null,"is_sticky":false,"detail":""}],"measurements":[{"name":"duration_seconds","device":"","value":0.5}],"evidence":"","why":"changed","set_aside":null}"#;

const CONDITION: &str = r#"{"check":"tcp","kind":"tcp","instance_id":"i-1","cluster_id":"train-a","generation":"1","belief":"FAILING","since":1795779076421148,"verdict":"FAIL","verdict_at":1795779076421148,"run_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0","fails":{"count":1,"since":1795779076421148},"standing":[{"finding":{"name":"timeout","device":"","xid":null,"recovery_action":null,"is_sticky":false,"detail":""},"trust":"believed","seen":1,"missed":0,"since":1795779076421148}],"spent":[],"ripe_at":null}
{"check":"tcp","kind":"tcp","instance_id":"i-1","cluster_id":"train-a","generation":"1","belief":"HEALTHY","since":1795779076421148,"verdict":"PASS","verdict_at":1795779076421148,"run_id":null,"fails":null,"standing":[],"spent":[],"ripe_at":null}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec;

    #[test]
    fn each_line_is_a_row_as_it_is_written() {
        for kind in Kind::ALL {
            for json in of(kind).into_iter().flat_map(str::lines) {
                let line = format!("{{\"{}\":{json}}}", kind.name());
                let read = codec::from_line(line.as_bytes()).unwrap_or_else(|why| panic!("{why}: {line}"));
                let row = codec::decode(&read.key, read.value.as_deref()).unwrap();
                let mut again = Vec::new();
                let written = codec::encode(&row);
                codec::to_line(&written.key, &written.value.unwrap(), &mut again).unwrap();
                assert_eq!(String::from_utf8(again).unwrap(), line);
            }
        }
    }

    #[test]
    fn no_text_has_changed() {
        let sums = Kind::ALL.map(|kind| of(kind).map_or(0, |text| crc32c::crc32c(text.as_bytes())));
        assert_eq!(
            sums,
            [
                0,
                434_695_564,
                3_673_594_915,
                0,
                3_432_101_051,
                4_103_472_505,
                737_230_065,
                0,
                2_299_063_428,
                2_261_148_587,
                0,
                0,
                0,
                0,
                0,
                607_167_531,
                3_911_512_269
            ]
        );
    }
}
