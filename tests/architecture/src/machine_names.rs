//! The project's text names no machine: no folder of the place where it was written, no host that a package came from.

use crate::Breaches;

/// Put together here, so that this file does not hold what it looks for.
const FORBIDDEN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/tmp/bash", "_jobs"),
    concat!("/tmp/stu", "dio"),
    concat!("farm-", "studio"),
    concat!("farm-", "bench"),
    concat!("/root", "/"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("files.python", "hosted"),
    concat!("registry.npm", "js"),
];

/// Lines of the text that name the machine.
#[must_use]
pub fn breaches(path: &str, text: &str) -> Breaches {
    let mut breaches = Breaches::new();
    for (number, line) in text.lines().enumerate() {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            breaches.push(format!("{path}:{}: names the machine: {word}", number + 1));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_machine_is_found_with_its_line() {
        let text = format!("fine\nsee {}main for more\n", FORBIDDEN[0]);
        assert_eq!(breaches("a.md", &text), [format!("a.md:2: names the machine: {}", FORBIDDEN[0])]);
        assert_eq!(breaches("a.md", "a network is fine, /tmp is fine"), Breaches::new());
    }
}
