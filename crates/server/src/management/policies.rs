//! `rollcall policies`.

use super::{
    Api, Method,
    arguments::{AskedAction, ListArguments, PoliciesCommand, PolicyExplainArguments, PolicySetArguments},
};
use crate::{failure::Failure, http::encode_segment, output};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, io, path::Path};

const HEADER: [&str; 7] = ["policy", "effect", "actions", "resources", "client", "account", "address"];

#[derive(Deserialize)]
struct Policies {
    policies: Vec<Value>,
}

#[derive(Deserialize)]
struct Explained {
    allowed: bool,
    decided_by: String,
    rule: Option<String>,
}

/// One of the verbs.
pub(crate) fn run(command: &PoliciesCommand) -> Result<(), Failure> {
    match command {
        PoliciesCommand::List(arguments) => list(arguments),
        PoliciesCommand::Show(arguments) => {
            let policy: Value =
                Api::new(&arguments.api)?.read(&format!("policies/{}", encode_segment(&arguments.name)))?;
            output::line(format_args!("{policy:#}"))
        }
        PoliciesCommand::Set(arguments) => set(arguments),
        PoliciesCommand::Remove(arguments) => {
            Api::new(&arguments.api)?.delete(&format!("policies/{}", encode_segment(&arguments.name)))?;
            output::print(format!("{} is removed\n", arguments.name))
        }
        PoliciesCommand::Explain(arguments) => explain(arguments),
    }
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let Policies { policies } = Api::new(&arguments.api)?.read("policies")?;
    if arguments.json {
        return output::line(json!({ "policies": policies }));
    }
    let rows: Vec<Vec<String>> = policies.iter().map(row).collect();
    output::print(output::table(&HEADER, &rows, &mut Vec::new(), true))
}

fn row(policy: &Value) -> Vec<String> {
    let cell = |name: &str| match &policy[name] {
        Value::String(text) => text.clone(),
        Value::Array(texts) if !texts.is_empty() => {
            texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        _ => "any".to_owned(),
    };
    ["name", "effect", "actions", "resources", "client_id", "username", "ip"].map(cell).to_vec()
}

fn set(arguments: &PolicySetArguments) -> Result<(), Failure> {
    let api = Api::new(&arguments.api)?;
    let policies = read(&arguments.file)?;
    for policy in &policies {
        let name = policy["name"].as_str().ok_or_else(|| Failure::new("a policy in the file has no name"))?;
        let path = format!("policies/{}", encode_segment(name));
        let put = api.send(Method::Put, &path, &[], &policy.to_string());
        put.map_err(|failure| Failure::of(failure.sentences().iter().map(|why| format!("{name}: {why}")).collect()))?;
        output::print(format!("{name} is set\n"))?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Value>, Failure> {
    let name = file.display();
    let text = match file.as_os_str() == "-" {
        true => io::read_to_string(io::stdin()),
        false => fs::read_to_string(file),
    };
    let text = text.map_err(|error| Failure::io(format_args!("cannot read {name}"), &error))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| Failure::new(format!("{name} is no JSON: {error}")))?;
    match value {
        Value::Array(policies) => Ok(policies),
        Value::Object(mut fields) => match fields.remove("policies") {
            Some(Value::Array(policies)) => Ok(policies),
            Some(_) => Err(Failure::new(format!("{name}: policies is no array"))),
            None => Ok(vec![Value::Object(fields)]),
        },
        _ => Err(Failure::new(format!("{name} holds no policy"))),
    }
}

fn explain(arguments: &PolicyExplainArguments) -> Result<(), Failure> {
    let action = match arguments.action {
        AskedAction::Connect => "connect",
        AskedAction::Pub => "pub",
        AskedAction::Sub => "sub",
    };
    let mut question = json!({"action": action, "qos": arguments.qos, "retain": arguments.retain});
    let texts = [
        ("topic", arguments.topic.clone()),
        ("client_id", arguments.client_id.clone()),
        ("username", arguments.username.clone()),
        ("ip", arguments.ip.map(|ip| ip.to_string())),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            question[name] = Value::String(text);
        }
    }
    let body = Api::new(&arguments.api)?.send(Method::Post, "policies/explain", &[], &question.to_string())?;
    if arguments.json {
        return output::print(format!("{}\n", String::from_utf8_lossy(&body)));
    }
    let explained: Explained =
        serde_json::from_slice(&body).map_err(|_| Failure::new("the answer explains nothing"))?;
    let rule = explained.rule.map(|rule| format!(" {rule}")).unwrap_or_default();
    let verdict = if explained.allowed { "allowed" } else { "denied" };
    output::print(format!("{verdict} by {}{rule}\n", explained.decided_by.replace('_', " ")))
}
