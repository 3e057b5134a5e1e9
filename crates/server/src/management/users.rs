//! `rollcall users`.

use super::{
    Api, Method,
    arguments::{ListArguments, NewPasswordArguments, UserAddArguments, UserPasswordArguments, UserRole, UsersCommand},
};
use crate::{failure::Failure, http::encode_segment, output};
use serde::Deserialize;
use serde_json::json;
use std::io;

/// Users asked for at once.
const PAGE: u64 = 1000;

#[derive(Deserialize)]
struct Page {
    users: Vec<User>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct User {
    username: String,
    role: String,
}

/// One of the verbs.
pub(crate) fn run(command: &UsersCommand) -> Result<(), Failure> {
    match command {
        UsersCommand::List(arguments) => list(arguments),
        UsersCommand::Add(arguments) => add(arguments),
        UsersCommand::Remove(arguments) => {
            Api::new(&arguments.api)?.delete(&format!("users/{}", encode_segment(&arguments.name)))?;
            output::print(format!("{} is removed\n", arguments.name))
        }
        UsersCommand::Password(arguments) => change_password(arguments),
    }
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let api = Api::new(&arguments.api)?;
    let (mut users, mut after) = (Vec::new(), String::new());
    loop {
        let page: Page = api.read(&format!("users?limit={PAGE}{after}"))?;
        users.extend(page.users);
        match page.next {
            Some(next) => after = format!("&after={}", encode_segment(&next)),
            None => break,
        }
    }
    if arguments.json {
        let users: Vec<_> = users.iter().map(|user| json!({"username": user.username, "role": user.role})).collect();
        return output::line(json!({ "users": users }));
    }
    let rows: Vec<Vec<String>> = users.into_iter().map(|user| vec![user.username, user.role]).collect();
    output::print(output::table(&["user", "role"], &rows, &mut Vec::new(), true))
}

fn add(arguments: &UserAddArguments) -> Result<(), Failure> {
    let role = match arguments.role {
        UserRole::Client => "client",
        UserRole::Viewer => "viewer",
        UserRole::Operator => "operator",
        UserRole::Admin => "admin",
    };
    let body = json!({"role": role, "password": password(&arguments.new)?});
    let path = format!("users/{}", encode_segment(&arguments.name));
    // One that is there keeps its password.
    Api::new(&arguments.api)?.send(Method::Put, &path, &[("If-None-Match", "*")], &body.to_string())?;
    output::print(format!("{} is added with role {role}\n", arguments.name))
}

fn change_password(arguments: &UserPasswordArguments) -> Result<(), Failure> {
    let body = json!({"password": password(&arguments.new)?});
    let path = format!("users/{}/password", encode_segment(&arguments.name));
    Api::new(&arguments.api)?.send(Method::Put, &path, &[], &body.to_string())?;
    output::print(format!("{} has another password\n", arguments.name))
}

fn password(arguments: &NewPasswordArguments) -> Result<String, Failure> {
    if let Some(password) = &arguments.new_password {
        return Ok(password.clone());
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|error| Failure::io("cannot read standard input", &error))?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    match password.is_empty() {
        true => {
            Err(Failure::new("no password: give --new-password, ROLLCALL_NEW_PASSWORD or a line on standard input"))
        }
        false => Ok(password),
    }
}
