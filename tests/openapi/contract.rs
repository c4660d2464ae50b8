//! Whatever Together's documents promise of remediations, ours promises too: every path, parameter, property, required
//! list and enum. Ours may say more; it never says less, or something else.

use serde_json::{Value, json};

/// Our document, which a unit test compares with what the daemon serves.
const OURS: &str = include_str!("../wire/openapi.json");
const CREATE: &str = include_str!("../wire/together/create.openapi.json");
const CANCEL: &str = include_str!("../wire/together/cancel.openapi.json");

/// Their servers' URL ends in it.
const BASE: &str = "/v1";

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Two documents, and what was found between them.
struct Comparison<'a> {
    ours: &'a Value,
    theirs: &'a Value,
    looked_at: usize,
    breaches: Vec<String>,
}

impl Comparison<'_> {
    fn check(&mut self, holds: bool, breach: impl FnOnce() -> String) {
        self.looked_at += 1;
        if !holds {
            self.breaches.push(breach());
        }
    }

    fn run(mut self) -> Self {
        for (path, item) in self.theirs["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let ours = &self.ours["paths"][format!("{BASE}{path}")][method];
                self.check(ours.is_object(), || format!("{method} {path} is missing"));
                if ours.is_object() {
                    self.operation(&format!("{method} {path}"), ours, operation);
                }
            }
        }
        let scheme = |document: &Value| document["components"]["securitySchemes"]["bearerAuth"].clone();
        let (mine, wanted) = (scheme(self.ours), scheme(self.theirs));
        self.check(mine["type"] == wanted["type"] && mine["scheme"] == wanted["scheme"], || "bearerAuth".to_owned());
        self
    }

    fn operation(&mut self, place: &str, ours: &Value, theirs: &Value) {
        for wanted in list(theirs, "parameters") {
            let (name, kind) = (&wanted["name"], &wanted["in"]);
            let place = format!("{place}: parameter {name}");
            let mine = list(ours, "parameters").iter().find(|mine| mine["name"] == *name && mine["in"] == *kind);
            self.check(mine.is_some(), || format!("{place} is missing"));
            let Some(mine) = mine else { continue };
            let required = |parameter: &Value| parameter["required"].as_bool().unwrap_or(false);
            self.check(required(mine) == required(wanted), || format!("{place}: required"));
            self.schema(&place, &mine["schema"], &wanted["schema"], Way::Request);
        }
        if let Some(wanted) = theirs.get("requestBody") {
            let mine = &ours["requestBody"];
            self.check(mine["required"] == wanted["required"], || format!("{place}: whether a body is required"));
            let body = |body: &Value| body["content"]["application/json"]["schema"].clone();
            self.schema(&format!("{place}: body"), &body(mine), &body(wanted), Way::Request);
        }
        for (status, wanted) in theirs["responses"].as_object().unwrap() {
            let responses = ours["responses"].as_object().unwrap();
            let refusals = |known: &&String| !known.starts_with('2');
            let mine: Vec<&String> = match status.as_str() {
                // Every refusal has the shape of the one that theirs describe.
                "default" => responses.keys().filter(refusals).collect(),
                _ => responses.keys().filter(|known| *known == status).collect(),
            };
            self.check(!mine.is_empty(), || format!("{place}: {status} is missing"));
            for status in mine {
                let body = |response: &Value| response["content"]["application/json"]["schema"].clone();
                let place = format!("{place}: {status}");
                self.schema(&place, &body(&responses[status]), &body(wanted), Way::Response);
            }
        }
    }

    fn schema(&mut self, place: &str, ours: &Value, theirs: &Value, way: Way) {
        let (ours, theirs) = (resolved(self.ours, ours), resolved(self.theirs, theirs));
        // What is read may be null as well; what is answered is what was promised.
        let has_type = |wanted: &Value| match &ours["type"] {
            Value::Array(several) => way == Way::Request && several.contains(wanted),
            one => one == wanted,
        };
        self.check(has_type(&theirs["type"]), || format!("{place}: type {} and not {}", ours["type"], theirs["type"]));
        if let Some(format) = theirs.get("format") {
            self.check(ours["format"] == *format, || format!("{place}: format {}", ours["format"]));
        }
        for name in list(&theirs, "enum") {
            self.check(list(&ours, "enum").contains(name), || format!("{place}: {name} is not in the enum"));
        }
        // An enum of ours where they have none would promise less.
        self.check(ours.get("enum").is_none() || theirs.get("enum").is_some(), || format!("{place}: an enum of ours"));
        let writable = |name: &Value| {
            let property = resolved(self.theirs, &theirs["properties"][name.as_str().unwrap()]);
            property["readOnly"] != true
        };
        let required: Vec<&Value> =
            list(&theirs, "required").iter().filter(|name| way == Way::Response || writable(name)).collect();
        for name in required {
            self.check(list(&ours, "required").contains(name), || format!("{place}: {name} is not required"));
        }
        for (name, wanted) in theirs["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            let is_read_only = resolved(self.theirs, wanted)["readOnly"] == true;
            let Some(mine) = ours["properties"].get(name) else {
                // Those that may only be read are ignored where they are sent.
                let is_let_through = way == Way::Request && is_read_only && ours["additionalProperties"] != false;
                self.check(is_let_through, || format!("{place} is missing"));
                continue;
            };
            let seen = resolved(self.ours, mine);
            let read_only = seen["readOnly"] == true || seen["items"]["readOnly"] == true;
            self.check(read_only == is_read_only, || format!("{place}: readOnly"));
            self.schema(&place, mine, wanted, way);
        }
        if let Some(items) = theirs.get("items") {
            self.schema(&format!("{place}[]"), &ours["items"], items, way);
        }
        match theirs.get("additionalProperties") {
            None => {}
            Some(wanted @ Value::Object(_)) => {
                self.schema(&format!("{place}{{}}"), &ours["additionalProperties"], wanted, way);
            }
            Some(wanted) => {
                self.check(ours["additionalProperties"] == *wanted, || format!("{place}: other properties"))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Response,
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

/// A schema with what it refers to, and what stands beside the reference.
fn resolved(document: &Value, schema: &Value) -> Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema.clone() };
    let mut whole = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null).clone();
    for (key, value) in schema.as_object().unwrap().iter().filter(|(key, _)| *key != "$ref") {
        whole[key] = value.clone();
    }
    whole
}

fn compare(ours: &Value) -> (usize, Vec<String>) {
    let (mut looked_at, mut breaches) = (0, Vec::new());
    for theirs in [parse(CREATE), parse(CANCEL)] {
        let done = Comparison { ours, theirs: &theirs, looked_at: 0, breaches: vec![] }.run();
        looked_at += done.looked_at;
        breaches.extend(done.breaches);
    }
    (looked_at, breaches)
}

#[test]
fn whatever_togethers_documents_promise_ours_promises_too() {
    let (looked_at, breaches) = compare(&parse(OURS));
    assert!(breaches.is_empty(), "{breaches:#?}");
    println!("{looked_at} promises were looked at");
    assert!(looked_at > 300, "only {looked_at} promises were looked at");
}

#[test]
fn a_promise_that_is_broken_is_found() {
    let ours = parse(OURS);
    let schemas = "/components/schemas";
    for (at, change, breach) in [
        (format!("{schemas}/TogetherRemediation/properties/review_comment"), Value::Null, "review_comment"),
        (format!("{schemas}/TogetherRemediation/required"), json!(["id"]), "\"state\" is not required"),
        (format!("{schemas}/State/enum"), json!(["PENDING"]), "\"AUTO_RESOLVED\" is not in the enum"),
        (format!("{schemas}/Time/format"), json!("date"), "format"),
        (format!("{schemas}/RpcStatus/required"), json!(["code"]), "\"details\" is not required"),
        (format!("{schemas}/ProtobufAny/properties/@type"), Value::Null, "@type"),
        (format!("{schemas}/ProtobufAny/additionalProperties"), json!(false), "other properties"),
        (format!("{schemas}/TogetherRemediation/properties/reason/type"), json!(["string", "null"]), "type"),
        (format!("{schemas}/TogetherCreate/required"), json!([]), "\"mode\" is not required"),
        (format!("{schemas}/TogetherCreate/additionalProperties"), json!(false), "is missing"),
        ("/components/securitySchemes/bearerAuth/scheme".to_owned(), json!("basic"), "bearerAuth"),
    ] {
        let mut broken = ours.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        let parent = broken.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match change {
            Value::Null => drop(parent.remove(key)),
            change => drop(parent.insert(key.to_owned(), change)),
        }
        let (_, breaches) = compare(&broken);
        assert!(breaches.iter().any(|found| found.contains(breach)), "{at}: {breaches:?}");
    }
}
