//! A row's JSON as it is stored: with a checksum, and small.
//!
//! A value is one byte for its form, the CRC32C of all that follows, and then the JSON itself, or how long it is (four bytes,
//! big-endian) and the JSON as one LZ4 block. Rows of a kind say much the same, so LZ4 begins with a text of that kind that both
//! sides know. JSON takes new fields without a migration, and a dump shows it to a person as it was written.
//! Measured: the alert of the tests below takes 291 bytes instead of 696; a storm of 10,000 nodes is decided in 1.15 s instead of
//! 1.3, since the journal and sled have less to copy, to sum up and to write.

use std::borrow::Cow;

use bytes::Bytes;
use lz4_flex::block;

use super::codec::BadRow;
use super::keys::Kind;

/// JSON as it is.
const JSON: u8 = 1;
/// The same as an LZ4 block. Another dictionary is another form.
const LZ4: u8 = 2;

/// The form and the checksum.
const ENVELOPE: usize = 5;
/// How long the JSON is.
const LENGTH: usize = 4;
/// A byte of an LZ4 block stands for no more than so many (the block format: a length goes on by 255 with each byte).
const EXPANDS: usize = 255;

/// The value of a row of this kind.
pub fn seal(kind: Kind, json: &[u8]) -> Bytes {
    let small = dictionary(kind).and_then(|text| smaller(json, text.as_bytes()));
    let mut value = small.unwrap_or_else(|| [&[JSON, 0, 0, 0, 0], json].concat());
    let sum = crc32c::crc32c(&value[ENVELOPE..]).to_be_bytes();
    value[1..ENVELOPE].copy_from_slice(&sum);
    Bytes::copy_from_slice(&value)
}

/// A value of the form LZ4 without its checksum; nothing where it would be no smaller.
fn smaller(json: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    const HEAD: usize = ENVELOPE + LENGTH;
    let mut value = vec![0; HEAD + block::get_maximum_output_size(json.len())];
    value[0] = LZ4;
    value[ENVELOPE..HEAD].copy_from_slice(&u32::try_from(json.len()).ok()?.to_be_bytes());
    let length = block::compress_into_with_dict(json, &mut value[HEAD..], dictionary).ok()?;
    value.truncate(HEAD + length);
    (LENGTH + length < json.len()).then_some(value)
}

/// The JSON inside a value, which lies at `key`.
///
/// # Errors
/// The value has another form, fails its checksum, or holds no such block.
pub fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<Cow<'a, [u8]>, BadRow> {
    let Some((envelope, body)) = value.split_first_chunk::<ENVELOPE>() else {
        return Err(BadRow::new(key, "its value is cut off"));
    };
    let [form, sum @ ..] = *envelope;
    if form != JSON && form != LZ4 {
        return Err(BadRow::new(key, format!("its value has the unknown form {form}")));
    }
    if u32::from_be_bytes(sum) != crc32c::crc32c(body) {
        return Err(BadRow::new(key, "its checksum does not match"));
    }
    if form == JSON {
        return Ok(Cow::Borrowed(body));
    }
    unfold(key, body).map(Cow::Owned).ok_or_else(|| BadRow::new(key, "its value cannot be unfolded"))
}

fn unfold(key: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let dictionary = dictionary(Kind::of(key)?)?;
    let (length, small) = body.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > small.len().saturating_mul(EXPANDS) {
        return None;
    }
    let mut json = vec![0; length];
    let written = block::decompress_into_with_dict(small, &mut json, dictionary.as_bytes()).ok()?;
    (written == length).then_some(json)
}

/// What rows of a kind look like, the kinds of which there are many. Never changed: values are stored that need it.
fn dictionary(kind: Kind) -> Option<&'static str> {
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

const INSTANCE: &str = r#"{"id":"i-","name":"gpu-node-","cluster_id":"","host_id":"h-","addresses":["10.0.0."],"provider_id":"","pool":"h100","generation":"1","domains":{"leaf":"leaf-","rack":"r"},"auto_remediation_enabled":true}"#;

const NODE_MEMORY: &str = r#"{"instance_id":"i-","repairs":[{"remediation_id":"01a2-7000-","host_id":"h-","mode":"vm_restart","state":"CANCELLED","acted":true,"ended_at":179577},{"remediation_id":"01a2-7000-","host_id":"h-","mode":"host_aware","state":"FAILED","acted":true,"ended_at":179577},{"remediation_id":"01a2-7000-","host_id":"h-","mode":"reboot_vm","state":"SUCCEEDED","acted":true,"ended_at":179577},{"remediation_id":"01a2-7000-","host_id":"h-","mode":"host_aware","state":"AUTO_RESOLVED","acted":false,"ended_at":179577}]}"#;

const REMEDIATION: &str = r#"{"by":"","comment":""},"failure":{"code":"","message":""},"note":"its alerts cleared by themselves","raised_at":"validating_since":"validated_at":179577,"attempt":{"operation_key":"","awaits":"","waits_for":"","next_try":179577,"due":{"at":179577,"why":"resolve"}}"opened_by_run":"alias":"started_at":179577"state":"AUTO_RESOLVED","state":"SUCCEEDED","state":"CANCELLED","state":"RUNNING","state":"PENDING","mode":"reboot_vm","trigger":"manual",{"id":"01a2-7000-","target":{"cluster_id":"","instance_id":"i-","instance_name":"gpu-node-","host_id":"h-","provider_id":"","generation":"1"},"mode":"host_aware","trigger":"automated","state":"PENDING_APPROVAL","version":1,"reason":"Gpu (xid 79) on gpu-node-","requested_by":"remedyd","created_at":179577,"updated_at":179577,"review":{"by":"Auto-Approved","at":179577,"comment":""},"ended_at":179577,"rule":"gpu-","auto_resolve":"alert","opened_by":"-5","links_omitted":0,"clear_since":179577,"due":{"at":179577,"why":"expire"}}"#;

const LINK: &str = r#"{"remediation_id":"01a2-7000-","n":0,"identity":"-5","alert_id":"-5","source":"main","alert_name":"Gpu","severity":"warning","severity":"critical","annotations":[["description",""],["runbook_url","https://"],["summary",""]],"annotation":{"title":"","description":"","summary_line":"xid 79 x1","xids":[{"code":79,"mnemonic":"ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS","count":1}]},"started_at":1795777200000000,"cleared_at":179577,"refires":0}"#;

const TRANSITION: &str = r#""to":"SUCCEEDED","to":"FAILED","to":"RUNNING","to":"QUARANTINED","to":"QUARANTINING","to":"CANCELLED","verb":"approve","verb":"reject",{"remediation_id":"01a2-7000-","version":2,"at":179577,"from":"PENDING_APPROVAL","to":"AUTO_RESOLVED","mode":"host_aware","principal":"remedyd","verb":"resolve","reason":"its alerts cleared"}{"remediation_id":"01a2-7000-","version":1,"at":179577,"to":"PENDING_APPROVAL","mode":"host_aware","principal":"remedyd","verb":"create","reason":"rule gpu-: Gpu (xid 79) on gpu-node-"}"#;

const ALERT: &str = r#""joined":{"Err":"no instance"},"previous_end":179577,"run_id":"","truncated":true,"muted":true,"severity":"warning","severity":"info","state":"REFIRED_UNCONFIRMED",["UUID",""],["device","nvidia"],["exported_instance",""],["host",""],["Hostname",""],["job",""],["modelName","NVIDIA H100 80GB HBM3"],["namespace",""],["node",""],["pod",""],["prometheus",""],["xid",""],["runbook_url","https://"],{"id":"-5","identity":"-5","episode":1,"source":"main","fingerprint":"","labels":[["alertname","Gpu"],["check",""],["cluster",""],["finding",""],["gpu","0"],["instance","gpu-node-:9100"],["severity","critical"]],"annotations":[["description",""],["summary",""]],"truncated":false,"state":"FIRING","state":"RESOLVED","muted":false,"severity":"critical","xid":79,"joined":{"Ok":{"cluster_id":"","instance_id":"i-"}},"started_at":1795777200000000,"newest_start":1795777200000000,"resolved_at":1795777200000000,"opened_at":179577,"cleared_at":179577,"last_seen_at":179577,"remediation_id":"01a2-7000-"}"#;

const HELD: &str = r#"{"cluster_id":"","instance_id":"i-","rule":"gpu-","mode":"host_aware","why":"cooldown","why":"for","since":179577,"until":179577}"#;

const RUN: &str = r#""kind":"dcgm_exporter","kind":"command","kind":"http","kind":"icmp","verdict":"FAIL","verdict":"UNKNOWN","why":"asked","findings":[{"name":"","gpu":"","xid":79,"text":""}],{"id":"01a2-7000-","check":"","kind":"tcp","cluster_id":"","instance_id":"i-","generation":"1","started_at":179577,"ended_at":179577,"verdict":"PASS","findings":[],"measurements":[{"name":"duration_seconds","value":0.00}],"evidence":"","why":"schedule"}"#;

const CONDITION: &str = r#""kind":"dcgm_exporter","kind":"command","kind":"http","kind":"icmp","belief":"FAILING","belief":"UNKNOWN","verdict":"FAIL","fails":{"standing":[{"finding":{"trust":"seen":1{"check":"","kind":"tcp","instance_id":"i-","cluster_id":"","generation":"1","belief":"HEALTHY","since":179577,"verdict":"PASS","verdict_at":179577,"run_id":"01a2-7000-","fails":null,"standing":[],"spent":[],"ripe_at":null}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Change;
    use crate::store::{codec, keys, samples};

    const KEY: &[u8] = b"\x09";
    const RECORDED_JSON: &str = r#"{"id":"c64c931b-cd9f-582a-bdfa-25417552c620","identity":"76e532d2-b615-5daa-8f7a-afad0342b643","episode":1,"source":"main","fingerprint":"0011223344556677","labels":[["alertname","DmesgGpuFallenOffBus"],["cluster","train-a"],["gpu","3"],["instance","gpu-node-7:9100"],["severity","critical"]],"annotations":[["description","XID 79"],["summary","GPU 3 fell off the bus"]],"truncated":false,"state":"FIRING","muted":false,"severity":"critical","xid":79,"joined":{"Ok":{"cluster_id":"train-a","instance_id":"i-7"}},"started_at":1795777200000000,"newest_start":1795777200000000,"opened_at":1795779076421148,"last_seen_at":1795779076421148,"remediation_id":"01a21cc6-2145-7000-9fcd-173c68ede9f0"}"#;
    const RECORDED: &[u8] =
        b"\x02X\x8d\xbb\xfc\x00\x00\x02\xb3!{\"\x13\x00\xfa\x15c64c931b-cd9f-582a-bdfa-25417552c620x\x02\xff\x1576e\
        532d2-b615-5daa-8f7a-afad0342b643\x9a\x02\x1a\xf0\x020011223344556677\"\xd0\x00\x0f\xaa\x02\x02\xf1\x05Dm\
        esgGpuFallenOffBusd\x03\x03\xa9\x01\x01u\x04Bain-\xfd\x03\x02\xa6\x02\x02\xa3\x03\x07\x00\x04\x05\xa6\x02\
        \x1f7\xa7\x02-aXID 79\x82\x00\x06\xad\x02\xf0\x05GPU 3 fell off the b\xa7\x00\x0f\xc3\x02\x13\x0f\xb0\x02\
        7\x04\n\x01\x0e\xb7\x02\x1f7\xb8\x020\r\x99\x02\xa09076421148\xbf\x01\x00\xf3\x02\n\x8f\x02\x08 \x00\x0f\
        \x99\x02\x02\x921cc6-2145\xa2\x02\xf0\x049fcd-173c68ede9f0\"}";

    fn json(change: &Change) -> Vec<u8> {
        let entry = codec::encode(change);
        open(&entry.key, &entry.value.unwrap()).unwrap().into_owned()
    }

    /// A value of the form LZ4 with a checksum that fits.
    fn block(length: u32, small: &[u8]) -> Vec<u8> {
        let body = [&length.to_be_bytes(), small].concat();
        [&[LZ4], &crc32c::crc32c(&body).to_be_bytes()[..], &body].concat()
    }

    #[test]
    fn rows_of_which_there_are_many_are_small() {
        for change in samples::every_row() {
            let kind = Kind::of(&keys::of(&change)).unwrap();
            let (json, value) = (json(&change), codec::encode(&change).value.unwrap());
            match dictionary(kind) {
                Some(_) => assert!(value.len() * 3 < json.len() * 2, "{kind:?}: {} of {}", value.len(), json.len()),
                None => assert_eq!(&value[ENVELOPE..], json),
            }
        }
    }

    #[test]
    fn what_was_stored_before_is_read() {
        // Written when the form came. Whoever changes a dictionary makes another form.
        let stored = RECORDED;
        assert_eq!(&*open(KEY, stored).unwrap(), RECORDED_JSON.as_bytes());
        assert_eq!(seal(Kind::Alert, RECORDED_JSON.as_bytes()), stored);
        let sums = Kind::ALL.map(|kind| dictionary(kind).map_or(0, |text| crc32c::crc32c(text.as_bytes())));
        assert_eq!(
            sums,
            [
                0,
                2_467_562_742,
                3_637_658_379,
                0,
                1_833_765_729,
                3_557_271_446,
                2_884_677_293,
                0,
                1_508_930_477,
                343_138_948,
                0,
                0,
                0,
                0,
                0,
                4_015_332_062,
                318_641_697
            ]
        );
        // And the form before it.
        let plain = [&[JSON], &crc32c::crc32c(b"{}").to_be_bytes()[..], b"{}"].concat();
        assert_eq!(&*open(KEY, &plain).unwrap(), b"{}");
    }

    #[test]
    fn what_would_be_no_smaller_stays_as_it_is() {
        let noise = b"0123456789";
        let value = seal(Kind::Alert, noise);
        assert_eq!((value[0], &value[ENVELOPE..]), (JSON, &noise[..]));
    }

    #[test]
    fn a_block_that_lies_is_refused() {
        let good = seal(Kind::Alert, RECORDED_JSON.as_bytes());
        let small = &good[ENVELOPE + LENGTH..];
        let length = u32::try_from(RECORDED_JSON.len()).unwrap();
        assert!(open(KEY, &block(length, small)).is_ok());
        for lie in [0, length - 1, length + 1, u32::MAX] {
            assert!(open(KEY, &block(lie, small)).is_err(), "{lie}");
        }
        for cut in 0..small.len() {
            assert!(open(KEY, &block(length, &small[..cut])).is_err(), "{cut}");
        }
        let mut state = 1;
        for _ in 0..20_000 {
            let mut other = small.to_vec();
            other[samples::dice(&mut state, small.len())] = u8::try_from(samples::dice(&mut state, 256)).unwrap();
            if let Ok(json) = open(KEY, &block(length, &other)) {
                assert_eq!(json.len(), RECORDED_JSON.len());
            }
        }
        // Of a kind without a dictionary nobody wrote one; nor of no kind.
        assert!(open(b"\x01", &block(length, small)).is_err() && open(b"\xff", &block(length, small)).is_err());
    }
}
