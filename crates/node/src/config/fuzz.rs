//! Any text as a configuration file, and any variable beside it: read, or refused with sentences; what is read is shown
//! without its secrets.

use super::{Config, ConfigError, Loaded};
use rollcall_test_fuzzing::{Effort, Plan, Target, run, search, shape};
use std::path::Path;

/// Stands in the examples where a secret stands, so that it is known when it is shown.
const SECRET: &str = "h5c7tz";

type Shown = fn(&Loaded) -> String;

fn shown(loaded: &Loaded) -> String {
    format!("{loaded:?} {:?}", loaded.entries())
}

fn examples() -> Vec<Vec<u8>> {
    let cluster =
        format!("[cluster]\nname = \"lab\"\nseeds = [\"127.0.0.1:7401\"]\nsecret = \"{SECRET}\"\nlease_ms = 5000\n");
    let users = format!("[[auth.bootstrap_users]]\nusername = \"u\"\npassword = \"{SECRET}\"\nrole = \"client\"\n");
    vec![
        Vec::new(),
        include_bytes!("../../../../rollcall.example.toml").to_vec(),
        cluster.clone().into_bytes(),
        users.clone().into_bytes(),
        format!("{cluster}{users}[limits]\nmessages_per_second = 1000\npreset = \"tdmq\"\nconnections = 5\n")
            .into_bytes(),
        b"\nROLLCALL_CLUSTER__LEASE_MS=2000".to_vec(),
        b"[listeners]\nhttp = \"0.0.0.0:80\"\n\0ROLLCALL_AUTH__ANONYMOUS=true".to_vec(),
    ]
}

/// A file, and behind a zero a variable with its value.
fn check(input: &[u8], file: &Path, shown: Shown) -> Result<u64, String> {
    let (text, variable) = input.iter().position(|byte| *byte == 0).map_or((input, &[][..]), |at| input.split_at(at));
    std::fs::write(file, text).map_err(|error| error.to_string())?;
    let variable = String::from_utf8_lossy(variable.strip_prefix(&[0]).unwrap_or_default());
    let variable = variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    match Config::load(Some(file), variable) {
        Ok(loaded) => {
            if shown(&loaded).contains(SECRET) {
                return Err("a secret is shown".to_owned());
            }
            Ok(shape((loaded.origins.len().min(8), loaded.warnings.len())))
        }
        Err(error) => {
            let sentences = error.sentences();
            if sentences.is_empty() || sentences.iter().any(String::is_empty) {
                return Err(format!("refused without a sentence: {error:?}"));
            }
            let kind = match error {
                ConfigError::Refused { .. } => sentences.first().map(|sentence| sentence.chars().take(24).collect()),
                _ => None::<String>,
            };
            Ok(shape((kind, sentences.len().min(4))))
        }
    }
}

fn target(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_configurations", examples, bytes_max: 1_500, cases: 2_000 }
}

#[test]
fn fuzzed_configurations_are_read_or_refused_with_sentences() {
    let folder = tempfile::tempdir().unwrap();
    run(target(&examples()), |input| check(input, &folder.path().join("c.toml"), shown));
}

#[test]
fn a_secret_that_is_shown_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let open: Shown =
        |loaded| loaded.config.cluster.secret.as_ref().map_or(String::new(), |secret| secret.reveal().to_owned());
    let plan = Plan { seed: 1, effort: Effort::Cases(2_000) };
    let file = folder.path().join("c.toml");
    let failure = search(target(&examples()), plan, |input| check(input, &file, open)).unwrap_err();
    assert_eq!(failure.wrong, "a secret is shown");
}
