//! Every value that the contract lets a client send, with odd values in its place: whatever it is, it is answered or
//! refused, and never a fault of the server. `tests/chaos` tries each value everywhere, this a part of them.

use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::schema::{ExtendedType, InputValueDefinition};
use serde_json::{Value, json};

use crate::contract::CONTRACT;
use crate::harness::{Server, both, failure, token};

/// A field with arguments, and how to come to it.
struct Place {
    operation: &'static str,
    /// The fields from the root on, the last one without its selection.
    path: Vec<String>,
    arguments: Vec<(String, Type)>,
    is_composite: bool,
}

/// The keys inside of an argument that lead to one value.
struct Leaf {
    keys: Vec<String>,
    is_list: bool,
}

fn odd_values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "a\u{0}b",
        "\u{0}",
        "\u{202e}x",
        "\u{feff}",
        "💥",
        "e\u{301}",
        "%",
        "_",
        "\\",
        "'",
        "\"",
        "$1",
        "1001",
        "-1",
        "0",
        "NaN",
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2026-13-40T99:99:99Z",
        "1969-12-31T23:59:59.9999999Z",
        "https://",
        "http://[::1",
        "javascript:alert(1)",
        "Europe/Nowhere",
        "MQ==",
        "AAAA",
        "9223372036854775808",
        "1e400",
    ];
    let mut values: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
    values.extend(["x".repeat(300), "é".repeat(20_000), "x".repeat(70_000)].map(Value::from));
    values.extend([
        json!(0),
        json!(-1),
        json!(i32::MAX),
        json!(i32::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(1e308),
    ]);
    values.extend([
        json!(true),
        json!(null),
        json!([]),
        json!([null]),
        json!([[]]),
        json!({}),
        json!({ "a": 1 }),
    ]);
    values.push(json!(vec!["x"; 2_000]));
    values
}

/// All fields with arguments that can be reached, each type once.
fn places(schema: &Schema) -> Vec<Place> {
    let mut found = Vec::new();
    for (operation, root) in [
        ("query", "Query"),
        ("mutation", "Mutation"),
        ("subscription", "Subscription"),
    ] {
        let mut seen = vec![root.to_owned()];
        let mut waiting = vec![(root.to_owned(), Vec::<String>::new())];
        while let Some((type_name, path)) = waiting.pop() {
            let Some(ExtendedType::Object(object)) = schema.types.get(type_name.as_str()) else {
                continue;
            };
            for field in object.fields.values() {
                let name = field.ty.inner_named_type();
                let is_composite = matches!(
                    schema.types.get(name),
                    Some(
                        ExtendedType::Object(_)
                            | ExtendedType::Interface(_)
                            | ExtendedType::Union(_)
                    )
                );
                let own = [path.clone(), vec![field.name.to_string()]].concat();
                if !field.arguments.is_empty() {
                    let argument = |argument: &InputValueDefinition| {
                        (argument.name.to_string(), argument.ty.as_ref().clone())
                    };
                    found.push(Place {
                        operation,
                        path: own.clone(),
                        arguments: field.arguments.iter().map(|one| argument(one)).collect(),
                        is_composite,
                    });
                }
                // Fields below one that needs an argument are reached by other ways.
                let needs = field
                    .arguments
                    .iter()
                    .any(|argument| argument.ty.is_non_null() && argument.default_value.is_none());
                if is_composite
                    && !needs
                    && operation == "query"
                    && !seen.contains(&name.to_string())
                {
                    seen.push(name.to_string());
                    waiting.push((name.to_string(), own));
                }
            }
        }
    }
    found
}

/// What fits a type, with what it needs and nothing else.
fn sample(schema: &Schema, ty: &Type) -> Value {
    if !ty.is_non_null() {
        return Value::Null;
    }
    if ty.is_list() {
        return json!([sample(schema, &ty.item_type().clone().non_null())]);
    }
    match (
        ty.inner_named_type().as_str(),
        schema.types.get(ty.inner_named_type()),
    ) {
        (_, Some(ExtendedType::Enum(values))) => {
            json!(values.values.keys().next().map(ToString::to_string))
        }
        (_, Some(ExtendedType::InputObject(object))) => {
            let needed = object
                .fields
                .iter()
                .filter(|(_, field)| field.ty.is_non_null() && field.default_value.is_none());
            needed
                .map(|(name, field)| (name.to_string(), sample(schema, &field.ty)))
                .collect()
        }
        ("Int", _) => json!(1),
        ("Boolean", _) => json!(true),
        ("DateTime", _) => json!("2026-03-01T09:30:00Z"),
        ("URL", _) => json!("https://example.com/"),
        _ => json!("1001"),
    }
}

/// The values inside of an argument.
fn leaves(schema: &Schema, ty: &Type, keys: Vec<String>) -> Vec<Leaf> {
    let mut all = vec![Leaf {
        keys: keys.clone(),
        is_list: ty.is_list(),
    }];
    if let Some(ExtendedType::InputObject(object)) = schema.types.get(ty.inner_named_type())
        && keys.len() < 4
    {
        let inside = match ty.is_list() {
            true => [keys, vec!["0".into()]].concat(),
            false => keys,
        };
        for (name, field) in &object.fields {
            let inner = [inside.clone(), vec![name.to_string()]].concat();
            all.extend(leaves(schema, &field.ty, inner));
        }
    }
    all
}

/// Puts a value in its place, making what is on the way as far as it is missing.
fn put(schema: &Schema, whole: &mut Value, ty: &Type, keys: &[String], value: Value) {
    let Some((key, rest)) = keys.split_first() else {
        *whole = value;
        return;
    };
    if whole.is_null() {
        *whole = sample(schema, &ty.clone().non_null());
    }
    if ty.is_list() {
        put(schema, &mut whole[0], ty.item_type(), rest, value);
    } else if let Some(ExtendedType::InputObject(object)) = schema.types.get(ty.inner_named_type())
    {
        put(
            schema,
            &mut whole[key.as_str()],
            &object.fields[key.as_str()].ty,
            rest,
            value,
        );
    }
}

impl Place {
    fn document(&self) -> String {
        let declared: Vec<String> = self
            .arguments
            .iter()
            .map(|(name, ty)| format!("${name}: {ty}"))
            .collect();
        let passed: Vec<String> = self
            .arguments
            .iter()
            .map(|(name, _)| format!("{name}: ${name}"))
            .collect();
        let selection = if self.is_composite {
            " { __typename }"
        } else {
            ""
        };
        let field = format!(
            "{}({}){selection}",
            self.path.join(" { "),
            passed.join(", ")
        );
        format!(
            "{} ({}) {{ {field} {}",
            self.operation,
            declared.join(", "),
            "}".repeat(self.path.len())
        )
    }

    /// The least that it takes; what has a default or may be null is left out.
    fn variables(&self, schema: &Schema) -> Value {
        let all = self
            .arguments
            .iter()
            .map(|(name, ty)| (name.clone(), sample(schema, ty)));
        all.filter(|(_, value)| !value.is_null()).collect()
    }
}

async fn asked(server: &Server, document: &str, variables: &Value) -> String {
    let request = server.http.post(format!("{}/graphql", server.url));
    let token = token(
        &["1001"],
        "sync-health:read sync-health:manage sync-health:report",
    );
    let accept = match document.starts_with("subscription") {
        true => "text/event-stream",
        false => "application/json",
    };
    let body = json!({ "query": document, "variables": variables });
    let sent = request
        .bearer_auth(token)
        .header("accept", accept)
        .json(&body)
        .send()
        .await;
    let mut answer = sent.expect("an answer");
    // Of a stream only how it begins.
    let begins = answer
        .chunk()
        .await
        .expect("a part of an answer")
        .unwrap_or_default();
    format!("{} {}", answer.status(), String::from_utf8_lossy(&begins))
}

both! {
    configure = |config| config.points = sync_health::kernel::config::Rate::new(u32::MAX, u32::MAX);
    async fn everywhere(server) {
        let schema = Schema::parse(CONTRACT, "schema.graphql").expect("a schema");
        server.record(json!([failure("1", 0, json!({}))])).await;
        let (mut faults, mut count, mut number) = (Vec::new(), 0, 0);
        let every = std::env::var("SYNC_HEALTH_ODD_VALUES_EVERY").map_or(15, |every| every.parse().expect("a number"));
        for place in places(&schema) {
            let document = place.document();
            for (name, ty) in &place.arguments {
                for leaf in leaves(&schema, ty, Vec::new()) {
                    for value in odd_values() {
                        number += 1;
                        if number % every != 0 {
                            continue;
                        }
                        // In a list alone, too.
                        let value = if leaf.is_list && !value.is_array() { json!([value]) } else { value };
                        let mut variables = place.variables(&schema);
                        put(&schema, &mut variables[name.as_str()], ty, &leaf.keys, value);
                        let answer = asked(server, &document, &variables).await;
                        count += 1;
                        if answer.contains("INTERNAL_SERVER_ERROR") || answer.starts_with('5') {
                            faults.push(format!("{document} {variables:.300} {answer:.300}"));
                        }
                    }
                }
            }
        }
        assert!(count > 500, "{count}");
        assert!(faults.is_empty(), "{} of {count}: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
    }
}
