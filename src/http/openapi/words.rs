//! What texts of the API may say: the names of states and modes, times and ids, as schemas that fields point to.
//!
//! The names come from the types of the domain, so a new one is documented as soon as it exists.

use std::borrow::Cow;

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::{self, HeldWhy, HoldId, RemediationId};
use crate::http::Shown;
use crate::http::together::lists;

/// A text that is one of a few.
pub(super) fn one_of(names: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.into_iter().map(Value::from)))
}

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident, $shown:literal, $names:expr) => {
        $(#[doc = $doc])+
        pub(in crate::http) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let doc = [$($doc.trim()),+].join(" ");
                one_of($names).description(Some(doc)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                $shown.into()
            }
        }
    };
}

words!(/// What is done to a machine.
    Mode, "Mode", domain::Mode::ALL.map(domain::Mode::as_str));
words!(/// Where a remediation stands; the last four are final.
    State, "State", domain::State::ALL.map(domain::State::as_str));
words!(/// Who wanted it: a person through an API, or a rule.
    Trigger, "Trigger", domain::Trigger::ALL.map(domain::Trigger::as_str));
words!(/// How bad an alert is.
    Severity, "Severity", domain::Severity::ALL.map(domain::Severity::as_str));
words!(/// What we believe about an alert.
    AlertState, "AlertState", domain::AlertState::ALL.map(domain::AlertState::as_str));
words!(/// The kinds of failure.
    FailureCode, "FailureCode", domain::FailureCode::ALL.map(domain::FailureCode::as_str));
words!(/// What a driver says of an operation.
    Outcome, "Outcome", domain::Outcome::ALL.map(domain::Outcome::as_str));
words!(/// A step of a plan.
    Step, "Step", [domain::Step::Act.as_str()]);
words!(/// What may resolve a waiting remediation without a person.
    AutoResolve, "AutoResolve", domain::AutoResolve::ALL.map(domain::AutoResolve::as_str));
words!(/// What happens to a remediation by itself.
    DueWhy, "DueWhy", domain::DueWhy::ALL.map(domain::DueWhy::as_str));
words!(/// Why a wanted proposal does not open.
    HeldBecause, "HeldBecause", held_because());

words!(/// What a check does.
    CheckKind, "CheckKind", domain::CheckKind::ALL.map(domain::CheckKind::as_str));
words!(/// How a run ended. Only FAIL is evidence of sickness, and only PASS of health.
    Verdict, "Verdict", domain::Verdict::ALL.map(domain::Verdict::as_str));
words!(/// Why a run is kept.
    RunWhy, "RunWhy", domain::RunWhy::ALL.map(domain::RunWhy::as_str));
words!(/// What is believed because of a check.
    Belief, "Belief", domain::Belief::ALL.map(domain::Belief::as_str));
words!(/// What is made of a finding: seen too seldom so far, an alert, or about the machine that was there before.
    Trust, "Trust", TRUSTS.map(domain::Trust::as_str));

const TRUSTS: [domain::Trust; 3] = [domain::Trust::Suspected, domain::Trust::Believed, domain::Trust::Doubted];

words!(/// What is done to a machine, as Together calls it.
    TogetherMode, "TogetherMode", domain::Mode::ALL.map(lists::mode_name));
words!(/// Who wanted it, as Together calls it.
    TogetherTrigger, "TogetherTrigger", domain::Trigger::ALL.map(lists::trigger_name));
words!(/// How bad an alert is, as Together calls it.
    TogetherSeverity, "TogetherSeverity", domain::Severity::ALL.map(lists::severity_name));

fn held_because() -> [&'static str; 9] {
    let nobody = uuid::Uuid::nil();
    let all = [
        HeldWhy::For,
        HeldWhy::Cooldown,
        HeldWhy::Settle,
        HeldWhy::Paused,
        HeldWhy::Hold(HoldId::new(nobody)),
        HeldWhy::HostBusy(RemediationId::new(nobody)),
        HeldWhy::OptedOut,
        HeldWhy::NoDriver,
        HeldWhy::ContactSupport,
    ];
    all.map(|why| why.as_str())
}

impl PartialSchema for Shown {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment, in UTC, with microseconds."))
            .into()
    }
}

impl ToSchema for Shown {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

/// An id that is a UUID, in lower case and with hyphens.
pub(in crate::http) enum Id {}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uuid".to_owned())))
            .description(Some("A UUID, in lower case and with hyphens."))
            .into()
    }
}

impl ToSchema for Id {}

/// What Google's status may hold besides; we send none.
pub(in crate::http) enum ProtobufAny {}

impl PartialSchema for ProtobufAny {
    fn schema() -> RefOr<Schema> {
        let kind = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A URL that names the type of the message."));
        ObjectBuilder::new()
            .property("@type", kind)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some("An arbitrary message with a URL that names its type; we send none."))
            .into()
    }
}

impl ToSchema for ProtobufAny {}

/// Texts under names, as labels and annotations are.
pub(in crate::http) enum Texts {}

impl PartialSchema for Texts {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        ObjectBuilder::new().additional_properties(Some(text)).description(Some("Texts under names.")).into()
    }
}

impl ToSchema for Texts {}
