//! `rollcall watch`: follows presence changes without a gap, from one node to the next. Where events were missed all the
//! same, it says so and begins afresh.

mod event_source;
mod line;

use crate::{
    cli::WatchArguments,
    failure::Failure,
    http::{basic, encode_segment},
    output, web_client,
};
use event_source::{Event, next_event};
use serde::Deserialize;
use std::{
    io::{self, BufReader},
    thread,
    time::Duration,
};
use ureq::Agent;

/// A stream that says nothing for so long is dead: it would have said that it stalls, and then have ended.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Pause before the nodes are tried again, when all of them have failed once.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The same when they fail again and again.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest refusal that is read, in bytes.
const REFUSAL_BYTES_MAX: u64 = 1 << 16;

/// Prints events until it is ended.
pub(crate) fn run(arguments: &WatchArguments) -> Result<(), Failure> {
    Watch::new(arguments)?.run(&mut |line| output::line(line))
}

/// Where lines go; an error ends it all.
type Sink<'a> = dyn FnMut(String) -> Result<(), Failure> + 'a;

struct Watch<'a> {
    arguments: &'a WatchArguments,
    nodes: Vec<Agent>,
    authorization: Option<String>,
    /// Where to go on; `None` from now on.
    from: Option<String>,
}

/// Why a stream is over.
enum Over {
    /// It may go on elsewhere, or here later.
    Ended(String),
    /// Nothing that is behind the position can be had any more.
    Gap(String),
    /// The node was not there, or is none.
    NotReached(String),
    /// It will not work anywhere.
    Refused(Failure),
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    detail: String,
}

#[derive(Deserialize)]
struct End {
    reason: String,
}

impl<'a> Watch<'a> {
    fn new(arguments: &'a WatchArguments) -> Result<Watch<'a>, Failure> {
        let account = &arguments.account;
        Ok(Watch {
            arguments,
            nodes: arguments.url.iter().map(|url| web_client::streaming(url, SILENCE_MAX)).collect::<Result<_, _>>()?,
            authorization: account.user.as_ref().map(|u| basic(u, account.password.as_deref().unwrap_or(""))),
            from: arguments.from.clone(),
        })
    }

    fn run(mut self, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let mut failed = 0;
        let mut reached = false;
        let mut place = 0;
        loop {
            let mut told = false;
            let over = self.follow(place, &mut told, sink)?;
            if told {
                (failed, reached) = (0, true);
            }
            let url = &self.arguments.url[place];
            match over {
                Over::Refused(failure) => return Err(failure),
                Over::Gap(why) => {
                    // A fresh start is at once possible, here as well as elsewhere.
                    (self.from, reached) = (None, true);
                    sink(self.gap(&why))?;
                    continue;
                }
                Over::Ended(why) => {
                    reached = true;
                    output::complain(format_args!("{url}: {why}"));
                }
                Over::NotReached(why) => output::complain(format_args!("{url}: {why}")),
            }
            failed += 1;
            place = (place + 1) % self.nodes.len();
            if failed < self.nodes.len() {
                continue;
            }
            if !reached {
                return Err(Failure::new("no node could be reached; is --url the HTTP address of one?"));
            }
            let rounds = u32::try_from(failed / self.nodes.len() - 1).unwrap_or(u32::MAX);
            back_off(pause(rounds));
        }
    }

    /// Follows one node's stream as far as it goes.
    fn follow(&mut self, place: usize, told: &mut bool, sink: &mut Sink<'_>) -> Result<Over, Failure> {
        let (agent, target) = (&self.nodes[place], self.target(&self.arguments.url[place]));
        let mut request = agent.get(target).header("Accept", "text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => return Ok(Over::NotReached(error.to_string())),
        };
        let status = response.status().as_u16();
        if status != 200 {
            let body = response.body_mut().with_config().limit(REFUSAL_BYTES_MAX).read_to_vec().unwrap_or_default();
            return Ok(refused(status, &body));
        }
        let mut stream = BufReader::new(response.body_mut().as_reader());
        loop {
            let event = match next_event(&mut stream) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Over::Ended("the stream broke off".to_owned())),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Ok(Over::NotReached(error.to_string()));
                }
                Err(error) => return Ok(Over::Ended(format!("the stream broke off: {error}"))),
            };
            *told = true;
            if let Some(id) = &event.id {
                self.from = Some(id.clone()).filter(|id| !id.is_empty());
            }
            match event.kind.as_str() {
                "gap" => return Ok(Over::Gap("events are no longer kept".to_owned())),
                "end" => {
                    let reason = serde_json::from_str::<End>(&event.data).map(|end| end.reason);
                    let reason = reason.unwrap_or_else(|_| "no reason given".to_owned());
                    return Ok(Over::Ended(format!("the node ended the stream: {reason}")));
                }
                _ => self.show(&event, sink)?,
            }
        }
    }

    fn show(&self, event: &Event, sink: &mut Sink<'_>) -> Result<(), Failure> {
        if self.arguments.json {
            return sink(line::json_line(event));
        }
        match event.kind.as_str() {
            "stalled" => output::complain("the node cannot confirm that this is all there is"),
            _ => return line::columns(event).map_or(Ok(()), sink),
        }
        Ok(())
    }

    fn gap(&self, why: &str) -> String {
        match self.arguments.json {
            true => serde_json::json!({ "id": null, "event": "gap", "data": { "detail": why } }).to_string(),
            false => format!("-- gap: {why}; ask for the state afresh --"),
        }
    }

    fn target(&self, url: &str) -> String {
        let WatchArguments { client, prefix, .. } = self.arguments;
        let parameters = [("client_id", client), ("prefix", prefix), ("from", &self.from)];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode_segment(value))).collect();
        format!("{}/presence/events?{}", url.trim_end_matches('/'), query.join("&"))
    }
}

/// What a node that answered, but with no stream, means.
fn refused(status: u16, body: &[u8]) -> Over {
    let said = serde_json::from_slice::<Refusal>(body);
    let detail = said.as_ref().map_or_else(|_| "is this a node's HTTP address?".to_owned(), |said| said.detail.clone());
    match (status, said.map(|said| said.code).as_deref()) {
        (410, Ok("other_history")) => Over::Gap("the position belongs to another history of the cluster".to_owned()),
        (410, Ok(_)) => Over::Gap("events are no longer kept".to_owned()),
        (429 | 500..=599, _) => Over::Ended(format!("{status}: {detail}")),
        _ => Over::Refused(Failure::new(format!("{status}: {detail}"))),
    }
}

/// Waits before the nodes are asked anew.
#[allow(clippy::disallowed_methods, reason = "no condition to await: nobody tells when a node can be reached again")]
fn back_off(pause: Duration) {
    thread::sleep(pause);
}

fn pause(rounds: u32) -> Duration {
    PAUSE_MIN.saturating_mul(2_u32.saturating_pow(rounds)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::{
        io::{BufRead, Write},
        net::TcpListener,
    };

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        watch: WatchArguments,
    }

    /// A node that answers one request after the other with these bytes, and the request lines it got.
    fn node(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let answer = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let asked = lines.next().unwrap();
                while !lines.next().unwrap().is_empty() {}
                stream.write_all(answer.as_bytes()).unwrap();
                asked
            };
            answers.into_iter().map(answer).collect()
        });
        (url, serving)
    }

    fn stream(events: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{events}")
    }

    fn problem(status: u16, code: &str) -> String {
        let body = format!(r#"{{"code":"{code}","detail":"because"}}"#);
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn event(id: &str, client: &str) -> String {
        let data = format!(r#"{{"clientid":"{client}","node":"n1","timestamp":0,"online":true}}"#);
        format!("id: {id}\nevent: client_connected\ndata: {data}\n\n")
    }

    fn watch(arguments: &[&str]) -> (Vec<String>, Failure) {
        let arguments = Arguments::parse_from([&["watch"][..], arguments].concat()).watch;
        let mut lines = Vec::new();
        let over = Watch::new(&arguments).unwrap().run(&mut |line| {
            lines.push(line);
            Ok(())
        });
        (lines, over.unwrap_err())
    }

    #[test]
    fn it_goes_on_at_the_next_node_from_the_last_token_and_says_where_it_missed_something() {
        let first = stream(&format!(
            "id: T0\nevent: position\ndata: {{}}\n\n{}id: T1\nevent: end\ndata: {{}}\n\n",
            event("T1", "a")
        ));
        let second = stream(&format!("{}event: client_connected\ndata: cut o", event("T2", "b")));
        let third = stream(&format!("{}id: \nevent: gap\ndata: {{}}\n\n", event("T3", "c")));
        let (one, at_one) = node(vec![first, third, stream(&event("T9", "d"))]);
        let (two, at_two) = node(vec![second, problem(403, "not_authorized")]);
        let (lines, failure) = watch(&["--prefix", "x/y", "--url", &one, "--url", &two]);
        let shown = |id: &str| format!("1970-01-01T00:00:00.000Z  {id:<24}  online   n1");
        let gap = "-- gap: events are no longer kept; ask for the state afresh --".to_owned();
        assert_eq!(lines, [shown("a"), shown("b"), shown("c"), gap, shown("d")]);
        assert_eq!(failure.sentences(), ["403: because"]);
        let asked = |from: &str| format!("GET /presence/events?prefix=x%2Fy{from} HTTP/1.1");
        assert_eq!(at_one.join().unwrap(), [asked(""), asked("&from=T2"), asked("")]);
        assert_eq!(at_two.join().unwrap(), [asked("&from=T1"), asked("&from=T9")]);
    }

    #[test]
    fn a_position_that_is_gone_is_a_gap_and_a_busy_node_is_asked_again() {
        let answers =
            vec![problem(503, "busy"), problem(410, "position_gone"), stream(&event("T1", "a")), problem(401, "x")];
        let (url, asked) = node(answers);
        let (lines, failure) = watch(&["--client", "a b", "--from", "T0", "--json", "--url", &url]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains(r#""event":"gap""#) && lines[1].contains(r#""id":"T1""#), "{lines:?}");
        assert_eq!(failure.sentences(), ["401: because"]);
        let asked = asked.join().unwrap();
        assert!(asked[1].contains("client_id=a%20b&from=T0") && asked[2].contains("client_id=a%20b HTTP"), "{asked:?}");
    }

    #[test]
    fn where_no_node_is_it_ends() {
        let (lines, failure) = watch(&["--url", "http://127.0.0.1:1", "--url", "http://127.0.0.1:2"]);
        assert!(lines.is_empty() && failure.sentences()[0].starts_with("no node could be reached"));
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        assert_eq!([0, 1, 4, 5, 40].map(|n| pause(n).as_millis()), [200, 400, 3200, 5000, 5000]);
    }
}
